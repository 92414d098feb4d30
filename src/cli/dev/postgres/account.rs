//! The system account that runs the programs of Postgres.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Stdio;

use nix::unistd::{User, geteuid};
use tokio::process::Command;

use super::error::PostgresError;

/// The account that runs the server: this process's own user, or the one that root drops to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account(Option<Ids>);

#[derive(Clone, Copy, Debug)]
struct Ids {
    user: u32,
    group: u32,
}

impl Account {
    /// The account for a cluster in this directory; the directory may not exist yet.
    pub fn for_cluster(directory: &Path) -> Result<Self, PostgresError> {
        let owner = std::fs::metadata(directory).ok().map(|found| Ids { user: found.uid(), group: found.gid() });
        if !geteuid().is_root() {
            return match owner {
                Some(owner) if owner.user != geteuid().as_raw() => {
                    Err(PostgresError::OtherOwner { place: directory.to_owned() })
                }
                _ => Ok(Self(None)),
            };
        }
        if let Some(owner) = owner.filter(|owner| owner.user != 0) {
            return Ok(Self(Some(owner)));
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or(PostgresError::NoUser)?;
        Ok(Self(Some(Ids { user: user.uid.as_raw(), group: user.gid.as_raw() })))
    }

    /// A command that runs as this account, without input and without variables that change what Postgres does.
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // Its own process group: Ctrl-C at the terminal reaches `userpool dev`, which then stops the server in order.
        command.process_group(0).current_dir("/").stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        // Messages in English, and a time zone that initdb need not guess.
        command.env("LC_ALL", "C").env("TZ", "UTC");
        if let Some(Ids { user, group }) = self.0 {
            // This also clears the supplementary groups.
            command.uid(user).gid(group);
        }
        command
    }

    /// Makes the account the owner of a file or directory.
    pub fn give(self, path: &Path) -> io::Result<()> {
        self.0.map_or(Ok(()), |Ids { user, group }| chown(path, Some(user), Some(group)))
    }

    /// Whether the account can enter a directory. The system answers that, which knows modes, ACLs and mounts.
    pub async fn reaches(self, directory: &Path) -> bool {
        let mut command = self.command("/bin/sh");
        command.args(["-c", "cd -- \"$1\"", "sh"]).arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().await.is_ok_and(|status| status.success())
    }
}
