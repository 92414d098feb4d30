//! WebAuthnService.

pub mod complete_web_authn_registration;
pub mod delete_web_authn_credential;
pub mod list_web_authn_credentials;
mod owner;
pub mod sealed;
pub mod start_web_authn_registration;
