//! The lock that allows one `userpool dev` per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

use super::error::PostgresError;

/// The lock, held until this is dropped; the system also releases it when the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, or says which process holds it.
    pub fn take(data_dir: &Path) -> Result<Self, PostgresError> {
        let path = data_dir.join("dev.lock");
        // Not truncated: it contains the number of the process that holds the lock.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(PostgresError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = std::fs::read_to_string(&path).unwrap_or_default().trim().parse::<u32>();
                let holder = pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
                return Err(PostgresError::Locked { data_dir: data_dir.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(PostgresError::io("lock", &path)(error)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(PostgresError::io("write", &path))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that is just starting has the file open, too, until it runs its program.
        let _ = self.file.unlock();
    }
}
