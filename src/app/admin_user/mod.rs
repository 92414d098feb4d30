//! AdminUserService.

pub mod admin_confirm_sign_up;
pub mod admin_delete_user;
pub mod admin_get_user;
pub mod list_users;
pub mod named_user;
