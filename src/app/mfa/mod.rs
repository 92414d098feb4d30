//! MfaService.

pub mod admin_set_user_mfa_preference;
pub mod admin_set_user_settings;
pub mod associate_software_token;
pub mod get_user_auth_factors;
pub mod set_user_mfa_preference;
pub mod set_user_settings;
pub mod verify_software_token;
mod whose;
