//! Tokens: signing keys, JWTs, the key set by which clients verify them, refresh tokens, challenge tokens and the sessions
//! of sign-ups.

pub mod access_token;
pub mod certificate;
pub mod challenge_token;
pub mod issue;
pub mod key_set;
pub mod refresh_token;
pub mod registration_challenge;
mod sealed_text;
pub mod secret_block;
pub mod sign_up_token;
pub mod signing_keys;
#[cfg(test)]
mod testing;
