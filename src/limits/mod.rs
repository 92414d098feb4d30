//! Limits on what one caller may use of shared resources, and on how many objects pools may have.

pub mod allowances;
mod counts;
pub mod fair_queue;
pub mod network;
pub mod quotas;
mod refusals;
pub mod shares;
pub mod throttle;

pub use allowances::{Allowances, Limits};
pub use counts::Counts;
pub use network::Network;
pub use refusals::{RECORDED_A_MINUTE, Refusals};
