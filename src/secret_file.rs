//! Files that hold a secret: master keys, private keys, passwords. A file that others on the machine can read is
//! refused.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Reading by others, and writing by the group or by others. A group may read, because Kubernetes mounts a secret with
/// an owner other than the server (`fsGroup`, mode 0440).
const TOO_MUCH: u32 = 0o026;

/// The error of a file that can't hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file can't be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// Others can read the file, or change its content.
    #[error(
        "it holds a secret, and with mode {0:04o} others can read or change it: make it 0600, or 0640 or 0440 if a group of its own reads it"
    )]
    Exposed(u32),
}

/// Reads a secret. Refuses a file that others can read or change.
pub fn read(path: &Path) -> Result<Vec<u8>, SecretFileError> {
    let mut file = File::open(path)?;
    // Checks the open file, because its path may lead to another file a moment later.
    check(&file.metadata()?)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(content)
}

/// Checks whether a file can hold a secret, if a library reads it instead of us.
pub fn look_at(path: &Path) -> Result<(), SecretFileError> {
    check(&std::fs::metadata(path)?)
}

/// Writes a new file that only its owner can read.
pub fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
}

fn check(metadata: &Metadata) -> Result<(), SecretFileError> {
    let mode = metadata.mode() & 0o7777;
    if mode & TOO_MUCH == 0 { Ok(()) } else { Err(SecretFileError::Exposed(mode)) }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_readable_by_its_owner_and_at_most_a_group() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        create(&path, b"hunter2").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(create(&path, b"another").is_err(), "what is there stays");
        for mode in 0..=0o777 {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let is_exposed = mode & 0o004 != 0 || mode & 0o002 != 0 || mode & 0o020 != 0;
            match look_at(&path) {
                Ok(()) => assert!(!is_exposed, "{mode:o}"),
                Err(SecretFileError::Exposed(found)) => assert!(is_exposed && found == mode, "{mode:o}"),
                Err(error) => panic!("{error}"),
            }
        }
        for mode in [0o600, 0o640, 0o440, 0o400] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path).unwrap(), b"hunter2");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("mode 0644") && !told.contains("hunter2"), "{told}");
        assert!(matches!(read(&directory.path().join("none")), Err(SecretFileError::Unreadable(_))));
    }
}
