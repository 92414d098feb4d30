//! SignUpService.

pub mod confirm_by_link;
pub mod confirm_sign_up;
pub mod resend_confirmation_code;
mod session;
#[allow(clippy::module_inception, reason = "the operation has the name of its service")]
pub mod sign_up;
