//! The factors of a sign-in, one file each. A factor judges the given proof and decides what is answered, recorded and
//! counted.

pub mod code;
pub mod confirmation;
pub mod custom;
pub mod device;
pub mod one_time_code;
pub mod password;
pub mod software_token;
pub mod web_authn;
