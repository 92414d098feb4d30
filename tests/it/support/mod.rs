//! The real components that the scenarios run against. Each is started for this test process alone and ends with it,
//! however it ends.

// Each test binary uses only a part of these helpers.
#![allow(dead_code)]

pub mod balancer;
pub mod choice;
pub mod client;
pub mod dev;
pub mod devices;
pub mod environment;
pub mod events;
pub mod http;
pub mod imported;
pub mod kafka;
pub mod mfa;
pub mod one_time_codes;
pub mod otlp;
pub mod passkeys;
pub mod places;
pub mod pool;
pub mod postgres;
pub mod process;
pub mod reaper;
pub mod refusals;
pub mod requests;
pub mod serve;
pub mod sessions;
pub mod smtp;
pub mod srp;
pub mod srp_client;
pub mod stream;
pub mod tables;
pub mod triggers;
pub mod wire;

use std::fs;
use std::io;
use std::path::Path;

pub use places::{free_port, poll_until, private_directory, tail};

/// Copies a directory with all that is in it.
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
