//! Ports, directories and waiting: what every private component needs.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::mkdtemp;

use super::reaper::reaper;

/// A free port of 127.0.0.1 below the ephemeral range, so that no outgoing connection can take it while its owner
/// restarts.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static TRIED: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // The first port depends on the process, so that test processes that run at the same time try different ones;
        // within a process no port comes twice.
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let start = process::id().wrapping_mul(7_919);
        let port = FIRST + start.wrapping_add(tried) % COUNT;
        let port = u16::try_from(port).expect("below 32,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of 127.0.0.1 between {FIRST} and {} is free", FIRST + COUNT);
}

/// Checks a condition until it holds; false if the time is over first. It blocks: an async test calls it through
/// `spawn_blocking`, like the start of a component.
#[expect(clippy::disallowed_methods, reason = "this is not called on a worker of the runtime")]
pub fn poll_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Makes a directory of its own under the system's temporary directory, which every account can reach (unlike the
/// checkout perhaps), and registers it with the reaper.
pub fn private_directory(name: &str) -> PathBuf {
    let template = std::env::temp_dir().join(format!("userpool-{name}-XXXXXX"));
    let path = mkdtemp(&template).unwrap_or_else(|error| panic!("cannot make {}: {error}", template.display()));
    reaper().remove_dir(&path);
    path
}

/// The end of a log file, to show why a component did not start.
pub fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
