//! The key hierarchy: a master key wraps the keys of pools; a pool's key wraps all other keys of its pool.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::environment::Random;
use crate::secret_file::{self, SecretFileError};
use crate::store::seal::{DataKey, FieldClass, Place, Unsealable};

/// The purpose of a wrapped key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Wraps the pool's other keys, and seals the pool's own secrets.
    Pool,
    /// The key of hashes for look-ups in permanent tables.
    Lookup,
    /// Seals what is known about callers who are not users of the pool.
    Audit,
    /// Seals refresh tokens, challenge tokens and page tokens.
    Token,
    /// Seals the personal values and secrets of one user; destroyed with the user.
    User,
}

impl KeyKind {
    /// The value of the column `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Lookup => "lookup",
            Self::Audit => "audit",
            Self::Token => "token",
            Self::User => "user",
        }
    }
}

/// A key as it is stored, wrapped under another key.
#[derive(Clone, Debug)]
pub struct WrappedKey {
    /// A random id, which every blob names that the key seals.
    pub key_id: Uuid,
    /// The purpose, which decides which key wraps it.
    pub kind: KeyKind,
    /// The `sub` of the user whose key it is; empty for the pool.
    pub owner: String,
    /// The key's bytes, sealed under the key above it.
    pub wrapped: Sealed,
}

/// The master keys: the first one wraps, all of them open.
#[derive(Debug)]
pub struct MasterKeys(Vec<Arc<DataKey>>);

/// Why a file of master keys can't be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum MasterKeysError {
    #[error("the master key file {path} can't be read: {source}")]
    Unreadable { path: String, source: SecretFileError },
    #[error("the master key file holds no text")]
    NoText,
    #[error("line {0} of the master key file is not an id and the base64 of 32 bytes")]
    Line(usize),
    #[error("the master key file holds no key")]
    Empty,
}

impl MasterKeys {
    /// Reads a file with one key per line: an id and the base64 of 32 bytes. The first key is the active one.
    pub fn read(path: &Path) -> Result<Self, MasterKeysError> {
        let text = secret_file::read(path)
            .map_err(|source| MasterKeysError::Unreadable { path: path.display().to_string(), source })?;
        Self::parse(std::str::from_utf8(&text).map_err(|_| MasterKeysError::NoText)?)
    }

    /// Parses the text of such a file.
    pub fn parse(text: &str) -> Result<Self, MasterKeysError> {
        let lines = text.lines().map(str::trim).enumerate();
        let mut keys = Vec::new();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let key = line.split_once(char::is_whitespace).and_then(|(id, encoded)| {
                let bytes: [u8; 32] = STANDARD.decode(encoded.trim()).ok()?.try_into().ok()?;
                Some(Arc::new(DataKey::new(master_key_id(id), &bytes)))
            });
            keys.push(key.ok_or(MasterKeysError::Line(index + 1))?);
        }
        if keys.is_empty() { Err(MasterKeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// A line for such a file, with a new key.
    pub fn generate_line(id: &str, random: &Random) -> String {
        format!("{id} {}\n", STANDARD.encode(random.bytes::<32>()))
    }

    /// Seals a value under the active key.
    pub fn seal(&self, place: Place<'_>, blob_id: Uuid, value: &[u8]) -> Sealed {
        self.0[0].seal(place, blob_id, value)
    }

    /// Opens a value sealed under any of the keys.
    pub fn open(&self, place: Place<'_>, blob: &Sealed) -> Result<Vec<u8>, Unsealable> {
        let id = crate::store::seal::key_id(blob)?;
        self.0.iter().find(|key| key.id() == id).ok_or(Unsealable)?.open(place, blob)
    }
}

/// The blob id of a master key: in the file an id is any word, in a blob it has 16 bytes.
#[expect(clippy::expect_used, reason = "SHA-256 has 32 bytes")]
fn master_key_id(id: &str) -> Uuid {
    let hash = digest(&SHA256, id.as_bytes());
    Uuid::from_slice(&hash.as_ref()[..16]).expect("16 bytes")
}

/// The keys of one pool, unwrapped.
#[derive(Debug)]
pub struct PoolKeys {
    pool_id: UserPoolId,
    /// Wraps users' keys and seals the pool's own secrets.
    pub pool: Arc<DataKey>,
    /// Seals what is known about callers who are not users of the pool.
    pub audit: Arc<DataKey>,
    /// Seals refresh tokens, challenge tokens and page tokens.
    pub token: Arc<DataKey>,
    lookup: hmac::Key,
}

impl PoolKeys {
    /// New keys for a new pool, and the wrapped keys to be stored.
    pub fn generate(pool_id: &UserPoolId, master: &MasterKeys, random: &Random) -> (Self, Vec<WrappedKey>) {
        let pool = NewKey::generate(random);
        let wrapped = master.seal(key_place(pool_id), random.uuid(), &pool.bytes);
        let mut stored = vec![pool.stored(KeyKind::Pool, String::new(), wrapped)];
        let pool = pool.key();
        let mut child = |kind| {
            let key = NewKey::generate(random);
            let wrapped = pool.seal(key_place(pool_id), random.uuid(), &key.bytes);
            stored.push(key.stored(kind, String::new(), wrapped));
            key
        };
        let audit = child(KeyKind::Audit).key();
        let token = child(KeyKind::Token).key();
        let lookup = hmac::Key::new(hmac::HMAC_SHA256, &child(KeyKind::Lookup).bytes);
        (Self { pool_id: pool_id.clone(), pool, audit, token, lookup }, stored)
    }

    /// Unwraps the stored keys of a pool. Fails if one is missing or is wrapped under an unknown master key.
    pub fn unwrap(pool_id: &UserPoolId, master: &MasterKeys, stored: &[WrappedKey]) -> Result<Self, Unsealable> {
        let find = |kind| stored.iter().find(|key| key.kind == kind).ok_or(Unsealable);
        let wrapped = find(KeyKind::Pool)?;
        let pool = data_key(wrapped.key_id, &master.open(key_place(pool_id), &wrapped.wrapped)?)?;
        let open = |kind| -> Result<(Uuid, Vec<u8>), Unsealable> {
            let wrapped = find(kind)?;
            Ok((wrapped.key_id, pool.open(key_place(pool_id), &wrapped.wrapped)?))
        };
        let child = |kind| open(kind).and_then(|(id, bytes)| data_key(id, &bytes));
        let lookup = hmac::Key::new(hmac::HMAC_SHA256, &open(KeyKind::Lookup)?.1);
        let (audit, token) = (child(KeyKind::Audit)?, child(KeyKind::Token)?);
        Ok(Self { pool_id: pool_id.clone(), pool, audit, token, lookup })
    }

    /// A new key for a user, and the wrapped key to be stored.
    pub fn generate_user_key(&self, owner: String, random: &Random) -> (Arc<DataKey>, WrappedKey) {
        let key = NewKey::generate(random);
        let wrapped = self.pool.seal(key_place(&self.pool_id), random.uuid(), &key.bytes);
        let stored = key.stored(KeyKind::User, owner, wrapped);
        (key.key(), stored)
    }

    /// Unwraps a user's key.
    pub fn unwrap_user_key(&self, key_id: Uuid, wrapped: &Sealed) -> Result<Arc<DataKey>, Unsealable> {
        data_key(key_id, &self.pool.open(key_place(&self.pool_id), wrapped)?)
    }

    /// A keyed hash for look-ups in permanent tables. Different purposes yield different hashes.
    pub fn keyed_hash(&self, purpose: &str, parts: &[&str]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.lookup);
        for part in std::iter::once(&purpose).chain(parts) {
            // Each part is hashed with its length, so that different parts never yield the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.sign().as_ref().to_vec()
    }
}

struct NewKey {
    id: Uuid,
    bytes: [u8; 32],
}

impl NewKey {
    fn generate(random: &Random) -> Self {
        Self { id: random.uuid(), bytes: random.bytes() }
    }

    fn key(&self) -> Arc<DataKey> {
        Arc::new(DataKey::new(self.id, &self.bytes))
    }

    fn stored(&self, kind: KeyKind, owner: String, wrapped: Sealed) -> WrappedKey {
        WrappedKey { key_id: self.id, kind, owner, wrapped }
    }
}

fn data_key(id: Uuid, bytes: &[u8]) -> Result<Arc<DataKey>, Unsealable> {
    let bytes = bytes.try_into().map_err(|_| Unsealable)?;
    Ok(Arc::new(DataKey::new(id, bytes)))
}

fn key_place(pool: &UserPoolId) -> Place<'_> {
    static KEYS: std::sync::LazyLock<StreamId> = std::sync::LazyLock::new(|| StreamId::new("keys"));
    Place { pool, stream: &KEYS, class: FieldClass::DataKey }
}

impl crate::store::Store {
    /// New keys for a new pool, wrapped under the active master key.
    pub fn generate_pool_keys(&self, pool: &UserPoolId) -> (PoolKeys, Vec<WrappedKey>) {
        PoolKeys::generate(pool, &self.master, &self.random)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_of_keys_may_have_comments_and_gaps_and_the_first_key_is_active() {
        let random = Random::default();
        let lines = [MasterKeys::generate_line("new", &random), MasterKeys::generate_line("old", &random)];
        let keys = MasterKeys::parse(&format!("# ours\n\n  {}\t\n{}", lines[0], lines[1])).unwrap();
        assert_eq!(keys.0.len(), 2);
        let pool = UserPoolId::none();
        let blob = keys.seal(key_place(&pool), random.uuid(), b"value");
        let first = MasterKeys::parse(&lines[0]).unwrap();
        assert_eq!(first.open(key_place(&pool), &blob).unwrap(), b"value");
        assert!(MasterKeys::parse(&lines[1]).unwrap().open(key_place(&pool), &blob).is_err());
    }

    #[test]
    fn a_line_of_another_form_is_named_by_its_number() {
        let good = MasterKeys::generate_line("good", &Random::default());
        for wrong in ["word", "id not-base64", "id AAAA", "id AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="] {
            let error = MasterKeys::parse(&format!("{good}\n{wrong}\n")).unwrap_err();
            assert!(error.to_string().starts_with("line 3 "), "{wrong}: {error}");
            assert!(!error.to_string().contains(wrong), "what could be a key is not repeated");
        }
        assert!(matches!(MasterKeys::parse("# nothing\n"), Err(MasterKeysError::Empty)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = MasterKeys::parse(&text);
        }

        #[test]
        fn a_generated_line_is_read(id in "[A-Za-z0-9._:-]{1,30}") {
            prop_assert!(MasterKeys::parse(&MasterKeys::generate_line(&id, &Random::default())).is_ok());
        }
    }
}
