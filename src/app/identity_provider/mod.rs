//! IdentityProviderService.

pub mod admin_disable_provider_for_user;
pub mod admin_link_provider_for_user;
