//! Tokens: the keys that sign them, JWTs, the key set that clients verify them with, refresh tokens.

pub mod access_token;
pub mod certificate;
pub mod challenge_token;
pub mod issue;
pub mod key_set;
pub mod refresh_token;
pub mod signing_keys;
