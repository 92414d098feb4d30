//! The installed Postgres servers of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::OLDEST;
use super::account::Account;
use super::error::PostgresError;

/// Folders with one directory per version, each with a `bin`: Debian, Fedora, Homebrew, Postgres.app.
const VERSIONED: [&str; 5] = [
    "/usr/lib/postgresql",
    "/usr",
    "/opt/homebrew/opt",
    "/usr/local/opt",
    "/Applications/Postgres.app/Contents/Versions",
];

/// The directories with a server, by major version.
#[derive(Debug)]
pub(super) struct Binaries(BTreeMap<u32, PathBuf>);

impl Binaries {
    /// All servers that are found and that the account can run.
    pub async fn of_this_machine(account: Account) -> Self {
        let mut directories = Vec::new();
        for folder in VERSIONED {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            directories.extend(entries.map(|entry| entry.path().join("bin")));
        }
        if let Ok(answer) = Command::new("pg_config").arg("--bindir").output().await {
            directories.push(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()));
        }
        directories.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        Self::among(&directories, account).await
    }

    /// The servers in these directories. If two have the same major version, the first counts.
    pub async fn among(directories: &[PathBuf], account: Account) -> Self {
        let mut found = BTreeMap::new();
        for directory in directories {
            if directory.join("initdb").is_file()
                && let Some(version) = version(&directory.join("postgres"), account).await
            {
                found.entry(version).or_insert_with(|| directory.clone());
            }
        }
        Self(found)
    }

    /// The newest server, for a new cluster.
    pub fn newest(&self) -> Result<&Path, PostgresError> {
        match self.0.last_key_value() {
            Some((&version, directory)) if version >= OLDEST => Ok(directory),
            Some((&found, _)) => Err(PostgresError::TooOld { found }),
            None => Err(PostgresError::NotInstalled),
        }
    }

    /// The server of the major version that made the cluster.
    pub fn of_version(&self, made_by: u32, place: &Path) -> Result<&Path, PostgresError> {
        self.newest()?;
        self.0.get(&made_by).map(PathBuf::as_path).ok_or_else(|| {
            let installed = self.0.keys().map(u32::to_string).collect::<Vec<_>>().join(", ");
            PostgresError::OtherVersion { place: place.to_owned(), made_by, installed }
        })
    }
}

async fn version(server: &Path, account: Account) -> Option<u32> {
    if !server.is_file() {
        return None;
    }
    let answer = account.command(server).arg("--version").output().await.ok()?;
    major(&String::from_utf8_lossy(&answer.stdout))
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, also of betas.
pub(super) fn major(answer: &str) -> Option<u32> {
    let (_, version) = answer.split_once("(PostgreSQL) ")?;
    version.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}
