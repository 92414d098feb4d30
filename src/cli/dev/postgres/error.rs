//! Errors of the private Postgres: each is one sentence for the person who started `userpool dev`.

use std::io;
use std::path::{Path, PathBuf};

use super::OLDEST;

/// The reason why the private Postgres could not be started or stopped.
#[allow(missing_docs, reason = "the messages say it")]
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// There are no server programs on this machine.
    #[error("no PostgreSQL server is installed: {}", advice())]
    NotInstalled,
    /// All installed servers are too old.
    #[error("PostgreSQL {found} is too old: {}", advice())]
    TooOld { found: u32 },
    /// The cluster was made by a version that is not installed.
    #[error(
        "{} was made by PostgreSQL {made_by}, but here is PostgreSQL {installed}: install version {made_by}, or move that directory away to start afresh",
        place.display()
    )]
    OtherVersion { place: PathBuf, made_by: u32, installed: String },
    /// Something else is where the cluster would be.
    #[error("{} is not a PostgreSQL data directory: move it away, or choose another --data-dir", place.display())]
    NotACluster { place: PathBuf },
    /// The password of the cluster is lost.
    #[error(
        "{} holds a database, but its password is not in {}: put that file back, or move the database away to start afresh",
        place.display(), password.display()
    )]
    NoPassword { place: PathBuf, password: PathBuf },
    /// The cluster belongs to another user.
    #[error("{} belongs to another user: start `userpool dev` as that user, or choose another --data-dir", place.display())]
    OtherOwner { place: PathBuf },
    /// The data directory was moved away from its cluster, which is outside of it.
    #[error(
        "the database of this data directory is {}, made for another path: move it to {}, or delete {} to start afresh",
        place.display(), expected.display(), note.display()
    )]
    Moved { place: PathBuf, expected: PathBuf, note: PathBuf },
    /// Another `userpool dev` is running.
    #[error("another `userpool dev`{holder} is running on {}: stop it, or choose another --data-dir", data_dir.display())]
    Locked { data_dir: PathBuf, holder: String },
    /// This is root, and there is no other user to run the server.
    #[error("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`: add one of them")]
    NoUser,
    /// initdb failed; the reason is its last error.
    #[error("the database could not be made in {}: {reason}", place.display())]
    NotInitialised { place: PathBuf, reason: String },
    /// The server ended instead of accepting connections.
    #[error("PostgreSQL did not start: {reason} (more in {})", log.display())]
    NotStarted { reason: String, log: PathBuf },
    /// A statement on the database failed.
    #[error("the private PostgreSQL refused: {0}")]
    Database(#[from] sqlx::Error),
    /// A running server does not end.
    #[error("PostgreSQL (process {pid}) can't be stopped: {reason}")]
    NotStopped { pid: i32, reason: String },
    /// The operating system refused to access a file or to start a process.
    #[error("can't {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

impl PostgresError {
    /// An error that names the action that the operating system refused.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

fn advice() -> String {
    if Path::new("/usr/bin/apt-get").exists() {
        "run `apt-get install postgresql`".to_owned()
    } else {
        format!("install PostgreSQL {OLDEST} or later")
    }
}

/// The reason in a log: its last error, or else its last line.
pub(super) fn telling_line(log: &str) -> String {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    // Without the time and the process in front of it.
    let error = |line: &str| {
        let marks = ["FATAL:", "PANIC:", "ERROR:", "error:"];
        marks.into_iter().find_map(|mark| line.split_once(mark)).map(|(_, reason)| reason.trim().to_owned())
    };
    let last = || lines().next().map(str::to_owned);
    lines().find_map(error).or_else(last).unwrap_or_else(|| "it gave no reason".to_owned())
}
