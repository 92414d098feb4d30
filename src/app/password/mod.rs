//! PasswordService.

pub mod forgot_password;
