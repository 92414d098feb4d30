//! The server that a killed `userpool dev` left running.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::error::PostgresError;

/// How long a server has to end after each signal.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long to pause between two checks.
pub(super) const GLANCE: Duration = Duration::from_millis(10);
/// Fast shutdown first, which loses nothing; then the immediate one, which the next start recovers from.
pub(super) const SIGNALS: [Signal; 2] = [Signal::SIGINT, Signal::SIGQUIT];

/// Stops any server that runs on this cluster. The caller holds the lock of the data directory.
pub(super) async fn stop(directory: &Path) -> Result<(), PostgresError> {
    let pid_file = directory.join("postmaster.pid");
    let Ok(content) = std::fs::read_to_string(&pid_file) else { return Ok(()) };
    // Anything but a positive number would make `kill` signal a group of processes.
    let pid = content.lines().next().and_then(|line| line.trim().parse().ok()).filter(|pid: &i32| *pid > 0);
    let Some(pid) = pid else { return Ok(()) };

    if !serves(pid, directory).await {
        // Its process is gone, or another program has the same number; Postgres would take that for a live server.
        return std::fs::remove_file(&pid_file).map_err(PostgresError::io("remove", &pid_file));
    }
    tracing::info!(pid, "stopping the PostgreSQL that a killed `userpool dev` left running");
    for signal in SIGNALS {
        match kill(Pid::from_raw(pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => return Err(PostgresError::NotStopped { pid, reason: error.desc().to_owned() }),
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !serves(pid, directory).await {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
    }
    Err(PostgresError::NotStopped { pid, reason: "it does not react".to_owned() })
}

/// Whether a process is a server of this cluster: by its command line, or by its working directory if the cluster was
/// moved since.
pub(super) async fn serves(pid: i32, directory: &Path) -> bool {
    let Some(command_line) = command_line(pid).await else { return false };
    let started_there = command_line.contains(&format!("postgres -D {} ", directory.display()));
    // The main process has its data directory as working directory. So have its children, but with titles like
    // `postgres: checkpointer`.
    let is_server = command_line.contains("postgres -D ");
    let works_there = std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory);
    started_there || is_server && works_there
}

/// The command line of a process, with a space after each argument. Empty for a process that only waits to be reaped.
async fn command_line(pid: i32) -> Option<String> {
    if cfg!(target_os = "linux") {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        return Some(String::from_utf8_lossy(&line).replace('\0', " "));
    }
    let answer = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output().await.ok()?;
    Some(format!("{} ", String::from_utf8_lossy(&answer.stdout).trim_end()))
}
