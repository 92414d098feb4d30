//! AuthService.

pub mod global_sign_out;
pub mod initiate_auth;
mod password_flow;
mod refresh_flow;
mod session;
