//! The files of the database: where they are, who owns them, and how they are made.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::account::Account;
use super::error::{PostgresError, telling_line};
use crate::environment::Random;

/// The name of the database and of its user.
pub(super) const NAME: &str = "userpool";

/// A cluster, which may not be made yet.
#[derive(Debug)]
pub(super) struct Cluster {
    /// The directory with the files of Postgres.
    pub directory: PathBuf,
    /// The account that runs its server.
    pub account: Account,
    data_dir: PathBuf,
    /// Whether it is outside of the data directory, and not noted there yet.
    is_new_elsewhere: bool,
}

impl Cluster {
    /// The cluster of a data directory: inside it, unless the account that root drops to can't enter it.
    pub async fn locate(data_dir: &Path, elsewhere: &Path) -> Result<Self, PostgresError> {
        let inside = data_dir.join("postgres");
        let account = Account::for_cluster(&inside)?;
        let note = data_dir.join("postgres.location");
        let known = std::fs::read_to_string(&note).ok().map(|place| PathBuf::from(place.trim()));
        let of = |directory, account, is_new_elsewhere| Self {
            directory,
            account,
            data_dir: data_dir.to_owned(),
            is_new_elsewhere,
        };
        if has_entries(&inside) || known.is_none() && account.reaches(data_dir).await {
            return Ok(of(inside, account, false));
        }
        let hash = hex::encode(digest(&SHA256, data_dir.as_os_str().as_bytes()));
        let place = elsewhere.join(&hash[..16]);
        match known {
            Some(known) if known != place && known.exists() => {
                Err(PostgresError::Moved { place: known, expected: place, note })
            }
            known => Ok(of(place.clone(), Account::for_cluster(&place)?, known.is_none())),
        }
    }

    /// The path of the server's log.
    pub fn log(&self) -> PathBuf {
        self.data_dir.join("postgres.log")
    }

    /// The path of the file with the last port.
    pub fn port_file(&self) -> PathBuf {
        self.data_dir.join("postgres.port")
    }

    fn password_file(&self) -> PathBuf {
        self.data_dir.join("postgres.password")
    }

    /// The path of the cluster with `end` appended.
    fn beside(&self, end: &str) -> PathBuf {
        let mut path = self.directory.clone().into_os_string();
        path.push(end);
        path.into()
    }

    /// Moves an outside cluster aside if its data directory was deleted to start afresh: it is in the way, but not ours
    /// to delete.
    pub fn set_aside_if_orphaned(&self) -> Result<(), PostgresError> {
        if !self.is_new_elsewhere || !self.directory.exists() {
            return Ok(());
        }
        let aside = self.beside(".old");
        remove(&aside)?;
        tracing::warn!(place = %aside.display(), "the database of an earlier data directory of this path was set aside");
        std::fs::rename(&self.directory, &aside).map_err(PostgresError::io("move", &self.directory))
    }

    /// The major version that made the cluster; absent if there is no cluster yet.
    pub fn version(&self) -> Result<Option<u32>, PostgresError> {
        let path = self.directory.join("PG_VERSION");
        match std::fs::read_to_string(&path) {
            Ok(version) => version.trim().parse().map(Some).map_err(|_| self.not_a_cluster()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(self.not_a_cluster()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !has_entries(&self.directory) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.not_a_cluster()),
            Err(error) => Err(PostgresError::io("read", &path)(error)),
        }
    }

    fn not_a_cluster(&self) -> PostgresError {
        PostgresError::NotACluster { place: self.directory.clone() }
    }

    /// The password of an existing cluster.
    pub fn password(&self) -> Result<String, PostgresError> {
        let path = self.password_file();
        match std::fs::read_to_string(&path) {
            Ok(password) if !password.trim().is_empty() => Ok(password.trim().to_owned()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PostgresError::io("read", &path)(error)),
            _ => Err(PostgresError::NoPassword { place: self.directory.clone(), password: path }),
        }
    }

    /// Makes the cluster, completely or not at all, and returns its password.
    pub async fn initialise(&self, binaries: &Path, random: &Random) -> Result<String, PostgresError> {
        let password = random.text(b"abcdefghijklmnopqrstuvwxyz0123456789", 32);
        write_private(&self.password_file(), &password)?;
        if !self.directory.starts_with(&self.data_dir) {
            self.note_location()?;
        }
        // A run that is killed from here on leaves only this directory, and the next run starts again.
        let staging = self.beside(".new");
        remove(&staging)?;
        DirBuilder::new().mode(0o700).create(&staging).map_err(PostgresError::io("create", &staging))?;
        // The server's account may not read the data directory, so the password is copied here.
        let password_file = staging.join("password");
        write_private(&password_file, &password)?;
        for path in [&password_file, &staging] {
            self.account.give(path).map_err(PostgresError::io("change the owner of", path))?;
        }
        let data = staging.join("data");
        let made = self.run_initdb(&binaries.join("initdb"), &data, &password_file).await;
        if made.is_ok() {
            std::fs::rename(&data, &self.directory).map_err(PostgresError::io("create", &self.directory))?;
        }
        remove(&staging)?;
        made.map(|()| password)
    }

    async fn run_initdb(&self, initdb: &Path, data: &Path, password: &Path) -> Result<(), PostgresError> {
        let mut reason = String::new();
        // Not every system has the first locale; both compare bytes, and the encoding is UTF-8 either way.
        for locale in ["C.UTF-8", "C"] {
            let mut command = self.account.command(initdb);
            command.args(["--encoding=UTF8", "--auth=scram-sha-256", "--no-instructions", "--no-sync"]);
            command.args([format!("--username={NAME}"), format!("--locale={locale}")]);
            command.arg("--pwfile").arg(password).arg("--pgdata").arg(data).kill_on_drop(true);
            let answer = command.output().await.map_err(PostgresError::io("run", initdb))?;
            if answer.status.success() {
                return Ok(());
            }
            reason = telling_line(&String::from_utf8_lossy(&answer.stderr));
            if !reason.contains("locale") {
                break;
            }
        }
        Err(PostgresError::NotInitialised { place: self.directory.clone(), reason })
    }

    /// Notes in the data directory where the cluster is, for people who look for it.
    fn note_location(&self) -> Result<(), PostgresError> {
        if let Some(folder) = self.directory.parent().filter(|folder| !folder.exists()) {
            // Independent of root's umask: the server's account has to enter it.
            let created = std::fs::create_dir_all(folder);
            let opened = created.and_then(|()| std::fs::set_permissions(folder, Permissions::from_mode(0o755)));
            opened.map_err(PostgresError::io("create", folder))?;
        }
        let note = self.data_dir.join("postgres.location");
        std::fs::write(&note, format!("{}\n", self.directory.display())).map_err(PostgresError::io("write", &note))
    }

    /// The log, opened for appending. It is emptied once it is large, because it is not rotated.
    pub fn open_log(&self) -> Result<File, PostgresError> {
        const LARGE: u64 = 16 * 1024 * 1024;
        let path = self.log();
        let open = || {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            if file.metadata()?.len() > LARGE {
                file.set_len(0)?;
            }
            Ok(file)
        };
        open().map_err(PostgresError::io("open", &path))
    }
}

fn has_entries(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, content: &str) -> Result<(), PostgresError> {
    remove(path)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| writeln!(file, "{content}")).map_err(PostgresError::io("write", path))
}

/// Removes a file or a directory, if it exists.
fn remove(path: &Path) -> Result<(), PostgresError> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PostgresError::io("remove", path)(error)),
        _ => Ok(()),
    }
}
