//! UserService.

pub mod attribute_change;
pub mod delete_user;
pub mod delete_user_attributes;
pub mod deletion;
pub mod get_user;
pub mod get_user_attribute_verification_code;
pub mod signed_in;
pub mod update_user_attributes;
pub mod verify_user_attribute;
