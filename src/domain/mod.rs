//! The rules: pure functions over state, events and commands.
//!
//! Nothing here is async or knows SQL, gRPC, clocks or randomness: ids, codes, hashes and the time come in the command.

pub mod addresses;
pub mod app_client;
pub mod attributes;
pub mod auth;
pub mod decision;
pub mod device;
pub mod error;
pub mod fingerprint;
pub mod group;
pub mod hash;
pub mod ids;
pub mod invitation_message;
pub mod link_place;
pub mod lockout;
pub mod message;
pub mod password_policy;
pub mod personal;
pub mod rate;
pub mod second_factor;
pub mod sign_up_message;
pub mod source;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod totp;
pub mod trigger;
pub mod user;
pub mod user_pool;
pub mod web_authn;
