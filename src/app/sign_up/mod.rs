//! SignUpService.

pub mod confirm_sign_up;
#[allow(clippy::module_inception, reason = "the operation has the name of its service")]
pub mod sign_up;
