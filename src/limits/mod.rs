//! What one caller may take of what all need.

pub mod fair_queue;
pub mod network;
pub mod shares;

pub use network::Network;
