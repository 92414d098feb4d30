//! UserService.

pub mod delete_user;
pub mod get_user;
pub mod signed_in;
