//! What one caller may take of what all need.

pub mod allowances;
pub mod network;
pub mod quotas;
pub mod throttle;

pub use allowances::{Allowances, Limits};
pub use network::Network;
