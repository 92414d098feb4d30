//! AdminUserService.

pub mod admin_get_user;
