//! Sealing: AES-256-GCM under a named key, bound to the place where the blob belongs.
//!
//! A blob is the key's id (16 bytes), its own id (16), the nonce (12), the ciphertext and the tag (16).

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use uuid::Uuid;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;

const ID_LENGTH: usize = 16;
const HEADER_LENGTH: usize = 2 * ID_LENGTH + NONCE_LEN;

/// What kind of value a blob holds: part of what it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldClass {
    /// The `personal` part of an event.
    Personal,
    /// The IP address of a caller.
    CallerAddress,
    /// A password's hash.
    PasswordHash,
    /// A password's SRP verifier.
    SrpVerifier,
    /// An app client's secret.
    ClientSecret,
    /// A private key that signs tokens.
    SigningKey,
    /// A message that waits in the outbox.
    Message,
    /// A data key.
    DataKey,
    /// A service account's secret.
    ServiceAccountSecret,
    /// A refresh token.
    RefreshToken,
    /// A challenge token.
    ChallengeToken,
    /// A page token.
    PageToken,
    /// The answer of a command that its caller named.
    StoredAnswer,
}

/// A blob can't be opened: another key, another place, or changed bytes.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value can't be opened with the key at hand")]
pub struct Unsealable;

/// Where a blob belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The pool.
    pub pool: &'a UserPoolId,
    /// The stream.
    pub stream: &'a StreamId,
    /// The kind of value.
    pub class: FieldClass,
}

/// A key that seals and opens.
pub struct DataKey {
    id: Uuid,
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

impl DataKey {
    /// A key of 32 bytes with its id.
    pub fn new(id: Uuid, bytes: &[u8; 32]) -> Self {
        // 32 bytes are what AES-256 takes.
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("a key of the algorithm's length");
        Self { id, key }
    }

    /// The key's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Seals a value for its place. The blob's id must be new.
    pub fn seal(&self, place: Place<'_>, blob_id: Uuid, value: &[u8]) -> Sealed {
        let mut sealed = value.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(associated_data(place, blob_id)), &mut sealed)
            // Values are far below the 64 GiB that one nonce may cover.
            .expect("a value within AES-GCM's bounds");
        let mut blob = Vec::with_capacity(HEADER_LENGTH + sealed.len());
        blob.extend_from_slice(self.id.as_bytes());
        blob.extend_from_slice(blob_id.as_bytes());
        blob.extend_from_slice(nonce.as_ref());
        blob.extend_from_slice(&sealed);
        Sealed(blob)
    }

    /// Opens a blob at its place.
    pub fn open(&self, place: Place<'_>, blob: &Sealed) -> Result<Vec<u8>, Unsealable> {
        let header = Header::read(blob)?;
        if header.key_id != self.id {
            return Err(Unsealable);
        }
        let mut sealed = blob.0[HEADER_LENGTH..].to_vec();
        let nonce = Nonce::try_assume_unique_for_key(&blob.0[2 * ID_LENGTH..HEADER_LENGTH]).map_err(|_| Unsealable)?;
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(associated_data(place, header.blob_id)), &mut sealed)
            .map_err(|_| Unsealable)?;
        Ok(opened.to_vec())
    }
}

struct Header {
    key_id: Uuid,
    blob_id: Uuid,
}

impl Header {
    fn read(blob: &Sealed) -> Result<Self, Unsealable> {
        let id = |at: usize| blob.0.get(at..at + ID_LENGTH).and_then(|bytes| Uuid::from_slice(bytes).ok());
        if blob.0.len() < HEADER_LENGTH {
            return Err(Unsealable);
        }
        Ok(Self { key_id: id(0).ok_or(Unsealable)?, blob_id: id(ID_LENGTH).ok_or(Unsealable)? })
    }
}

/// The id of the key that a blob is sealed under.
pub fn key_id(blob: &Sealed) -> Result<Uuid, Unsealable> {
    Header::read(blob).map(|header| header.key_id)
}

/// A blob's own id: another value has another one.
pub fn blob_id(blob: &Sealed) -> Result<Uuid, Unsealable> {
    Header::read(blob).map(|header| header.blob_id)
}

fn associated_data(place: Place<'_>, blob_id: Uuid) -> Vec<u8> {
    // None of the parts can contain the separator, so no two places have the same data.
    format!("{}\n{}\n{:?}\n{blob_id}", place.pool, place.stream, place.class).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_opens_only_with_its_key_at_its_place_and_unchanged() {
        let (pool, other_pool) = (UserPoolId::new("us-east-1_abcdefghi"), UserPoolId::new("us-east-1_jklmnopqr"));
        let (stream, other_stream) = (StreamId::pool(), StreamId::new("users/x"));
        let place = Place { pool: &pool, stream: &stream, class: FieldClass::Personal };
        let key = DataKey::new(Uuid::from_u128(1), &[7; 32]);
        let blob = key.seal(place, Uuid::from_u128(2), b"value");
        assert_eq!(key.open(place, &blob).unwrap(), b"value");
        assert_eq!(key_id(&blob).unwrap(), key.id());
        assert_eq!(blob_id(&blob).unwrap(), Uuid::from_u128(2));
        for wrong in [
            Place { pool: &other_pool, ..place },
            Place { stream: &other_stream, ..place },
            Place { class: FieldClass::SigningKey, ..place },
        ] {
            assert!(key.open(wrong, &blob).is_err());
        }
        assert!(DataKey::new(Uuid::from_u128(1), &[8; 32]).open(place, &blob).is_err());
        assert!(DataKey::new(Uuid::from_u128(3), &[7; 32]).open(place, &blob).is_err());
        for index in 0..blob.0.len() {
            let mut changed = blob.clone();
            changed.0[index] ^= 1;
            assert!(key.open(place, &changed).is_err(), "byte {index}");
            assert!(key.open(place, &Sealed(blob.0[..index].to_vec())).is_err(), "cut at {index}");
        }
    }
}
