//! Components of the scenarios that the driver shares: the same code starts them and cleans up.

#![allow(dead_code, reason = "the scenarios use more of it")]

#[path = "../../tests/it/support/places.rs"]
#[expect(clippy::expect_used, clippy::panic, reason = "a benchmark ends as a test does")]
mod places;
#[path = "../../tests/it/support/postgres.rs"]
#[expect(clippy::expect_used, clippy::panic, reason = "a benchmark ends as a test does")]
pub mod postgres;
#[path = "../../tests/it/support/reaper.rs"]
#[expect(clippy::expect_used, reason = "a benchmark ends as a test does")]
pub mod reaper;

#[path = "../../tests/it/support/srp_client.rs"]
#[expect(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark ends as a test does")]
pub mod srp_client;

pub use places::{free_port, poll_until, private_directory, tail};
