//! Why there is no database: each error is one sentence for the person who typed `userpool dev`.

use std::io;
use std::path::{Path, PathBuf};

use super::OLDEST;

/// Why the private Postgres could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No server binaries on this machine.
    #[error("no PostgreSQL server is installed: {}", advice())]
    NotInstalled,
    /// Only servers that are too old.
    #[error("PostgreSQL {found} is too old: {}", advice())]
    TooOld {
        /// The newest version that is installed.
        found: u32,
    },
    /// The cluster was made by a version that is not installed.
    #[error(
        "{} was made by PostgreSQL {made_by}, but here is PostgreSQL {installed}: install version {made_by}, or move that directory away to start afresh",
        place.display()
    )]
    OtherVersion {
        /// The cluster.
        place: PathBuf,
        /// The version that made it.
        made_by: u32,
        /// The versions of this machine.
        installed: String,
    },
    /// There is something where the cluster would be.
    #[error("{} is not a PostgreSQL data directory: move it away, or choose another --data-dir", place.display())]
    NotACluster {
        /// What is there.
        place: PathBuf,
    },
    /// A cluster whose password nobody knows.
    #[error(
        "{} holds a database, but its password is not in {}: put that file back, or move the database away to start afresh",
        place.display(), password.display()
    )]
    NoPassword {
        /// The cluster.
        place: PathBuf,
        /// The missing file.
        password: PathBuf,
    },
    /// The cluster belongs to somebody else.
    #[error("{} belongs to another user: start `userpool dev` as that user, or choose another --data-dir", place.display())]
    OtherOwner {
        /// The cluster.
        place: PathBuf,
    },
    /// The data directory was moved away from the cluster that is kept elsewhere.
    #[error(
        "the database of this data directory is {}, made for another path: move it to {}, or delete {} to start afresh",
        place.display(), expected.display(), note.display()
    )]
    Moved {
        /// Where the cluster is.
        place: PathBuf,
        /// Where it would have to be.
        expected: PathBuf,
        /// The file that says so.
        note: PathBuf,
    },
    /// Another `userpool dev` is running.
    #[error("another `userpool dev`{holder} is running on {}: stop it, or choose another --data-dir", data_dir.display())]
    Locked {
        /// The data directory.
        data_dir: PathBuf,
        /// Which process, in brackets, if it is known.
        holder: String,
    },
    /// Root, and nobody to drop to.
    #[error("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`: add one of them")]
    NoUser,
    /// initdb failed.
    #[error("the database could not be made in {}: {reason}", place.display())]
    NotInitialised {
        /// The cluster.
        place: PathBuf,
        /// The line that says why.
        reason: String,
    },
    /// The server ended instead of accepting connections.
    #[error("PostgreSQL did not start: {reason} (more in {})", log.display())]
    NotStarted {
        /// The line that says why.
        reason: String,
        /// The server's log.
        log: PathBuf,
    },
    /// The database refused.
    #[error("the private PostgreSQL refused: {0}")]
    Database(#[from] sqlx::Error),
    /// A server does not end.
    #[error("PostgreSQL (process {pid}) can't be stopped: {reason}")]
    NotStopped {
        /// Its process.
        pid: i32,
        /// Why.
        reason: String,
    },
    /// A file or a process.
    #[error("can't {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl PostgresError {
    /// Names what was tried when the operating system refused it.
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

/// What a log says of the reason for an end: its last error, or else its last line.
pub(super) fn telling_line(log: &str) -> String {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    // Without the time and the process that stand before it.
    let error = |line: &str| {
        let marks = ["FATAL:", "PANIC:", "ERROR:", "error:"];
        marks.into_iter().find_map(|mark| line.split_once(mark)).map(|(_, reason)| reason.trim().to_owned())
    };
    let last = || lines().next().map(str::to_owned);
    lines().find_map(error).or_else(last).unwrap_or_else(|| "it gave no reason".to_owned())
}
