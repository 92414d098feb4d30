//! Private components of the scenarios that serve here as well: one mechanism starts and cleans up both.

#![allow(dead_code, reason = "the scenarios use more of it")]

#[path = "../../tests/it/support/places.rs"]
mod places;
#[path = "../../tests/it/support/postgres.rs"]
pub mod postgres;
#[path = "../../tests/it/support/reaper.rs"]
pub mod reaper;

pub use places::{free_port, poll_until, private_directory, tail};
