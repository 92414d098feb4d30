//! Sealing: AES-256-GCM under a named key, bound to the place where the blob belongs.
//!
//! A blob is the key's id (16 bytes), its own id (16), the nonce (12), the ciphertext and the tag (16).
//!
//! Nonces are random, and one key of AES-GCM may seal at most 2^32 messages with random nonces (NIST SP 800-38D, 8.3).
//! Strangers can cause any number of values to be sealed under a pool's token key, audit key and pool key, which live
//! as long as the pool. So no named key seals anything itself: each blob has a key of its own, which HKDF-Expand (RFC
//! 5869, SHA-256) derives from the named key and the blob's id. Two blobs only collide if 122 random bits of the id and
//! 96 of the nonce are equal; replicas need not count, rotate or agree on anything.
//!
//! The version of a blob's id shows that the blob has such a key: 8, which RFC 9562 leaves to applications. Blobs with
//! an id of another version are older and were sealed under the named key itself; they can be opened, but no new ones
//! are made.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use uuid::Uuid;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;

const ID_LENGTH: usize = 16;
const HEADER_LENGTH: usize = 2 * ID_LENGTH + NONCE_LEN;
const KEY_LENGTH: usize = 32;
/// The purpose in the derivation of blob keys, which separates them from other keys derived from a named key.
const BLOB_KEY: &[u8] = b"userpool sealed blob 1";
/// The version of the ids of blobs with keys of their own.
const DERIVED: usize = 8;

/// The kind of value in a blob; the blob is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldClass {
    /// The `personal` part of an event.
    Personal,
    /// The IP address of a caller.
    CallerAddress,
    /// The argon2id hash of a password.
    PasswordHash,
    /// The SRP verifier of a password.
    SrpVerifier,
    /// The salt and the SRP verifier of a device's own password.
    DeviceSecret,
    /// The name of a device.
    DeviceName,
    /// The secret of an authenticator app.
    SoftwareToken,
    /// The credential of a passkey.
    Passkey,
    /// The challenge of the registration of a passkey.
    RegistrationChallenge,
    /// The secret of an app client.
    ClientSecret,
    /// A private key that signs tokens.
    SigningKey,
    /// A message in the outbox.
    Message,
    /// What a trigger is told, in the outbox.
    Notice,
    /// A data key that another key wraps.
    DataKey,
    /// The secret of a service account.
    ServiceAccountSecret,
    /// The content of a refresh token.
    RefreshToken,
    /// The content of a challenge token.
    ChallengeToken,
    /// The content of a SECRET_BLOCK.
    SecretBlock,
    /// The content of a page token.
    PageToken,
    /// A stored answer of a command with an idempotency key.
    StoredAnswer,
}

/// A blob can't be opened: wrong key, wrong place, or changed bytes.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value can't be opened with the key at hand")]
pub struct Unsealable;

/// The place where a blob belongs. A blob can't be opened at another one.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The id of the blob's pool.
    pub pool: &'a UserPoolId,
    /// The stream that the value belongs to.
    pub stream: &'a StreamId,
    /// The kind of value.
    pub class: FieldClass,
}

/// A key that seals and opens values.
pub struct DataKey {
    id: Uuid,
    /// The key that the keys of blobs are derived from.
    derives: hkdf::Prk,
    /// The key itself, for older blobs.
    key: RandomizedNonceKey,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

impl DataKey {
    /// A key made of an id and 32 random bytes.
    pub fn new(id: Uuid, bytes: &[u8; KEY_LENGTH]) -> Self {
        // The bytes are random, so HKDF-Extract is not needed.
        Self { id, derives: hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, bytes), key: aes_key(bytes) }
    }

    /// The key's id, which is part of every blob that it seals.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Seals a value for its place. `blob_id` must be new; the blob contains it with version 8.
    #[expect(clippy::expect_used, reason = "values are far below the 64 GiB that one nonce may cover")]
    pub fn seal(&self, place: Place<'_>, blob_id: Uuid, value: &[u8]) -> Sealed {
        let blob_id = uuid::Builder::from_custom_bytes(blob_id.into_bytes()).into_uuid();
        let mut sealed = value.to_vec();
        let nonce = self
            .key_of(blob_id)
            .seal_in_place_append_tag(Aad::from(associated_data(place, blob_id)), &mut sealed)
            .expect("a value within AES-GCM's bounds");
        self.blob(blob_id, &nonce, &sealed)
    }

    fn blob(&self, blob_id: Uuid, nonce: &Nonce, sealed: &[u8]) -> Sealed {
        let mut blob = Vec::with_capacity(HEADER_LENGTH + sealed.len());
        blob.extend_from_slice(self.id.as_bytes());
        blob.extend_from_slice(blob_id.as_bytes());
        blob.extend_from_slice(nonce.as_ref());
        blob.extend_from_slice(sealed);
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
        let data = Aad::from(associated_data(place, header.blob_id));
        let opened = match header.blob_id.get_version_num() {
            DERIVED => self.key_of(header.blob_id).open_in_place(nonce, data, &mut sealed),
            _ => self.key.open_in_place(nonce, data, &mut sealed),
        };
        Ok(opened.map_err(|_| Unsealable)?.to_vec())
    }

    /// The key of a single blob.
    #[expect(clippy::expect_used, reason = "the key is as long as one hash of SHA-256, of which HKDF gives up to 255")]
    fn key_of(&self, blob_id: Uuid) -> RandomizedNonceKey {
        let mut bytes = [0; KEY_LENGTH];
        let info = [BLOB_KEY, blob_id.as_bytes()];
        let derived = self.derives.expand(&info, hkdf::HKDF_SHA256);
        derived.and_then(|key| key.fill(&mut bytes)).expect("32 bytes are within HKDF's bounds");
        aes_key(&bytes)
    }
}

#[expect(clippy::expect_used, reason = "32 bytes are what AES-256 takes")]
fn aes_key(bytes: &[u8; KEY_LENGTH]) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("a key of the algorithm's length")
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

/// The id of the key that sealed a blob.
pub fn key_id(blob: &Sealed) -> Result<Uuid, Unsealable> {
    Header::read(blob).map(|header| header.key_id)
}

/// A blob's own id; another value has another id.
pub fn blob_id(blob: &Sealed) -> Result<Uuid, Unsealable> {
    Header::read(blob).map(|header| header.blob_id)
}

fn associated_data(place: Place<'_>, blob_id: Uuid) -> Vec<u8> {
    // No part can contain the separator, so different places have different data.
    format!("{}\n{}\n{:?}\n{blob_id}", place.pool, place.stream, place.class).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// A blob as earlier releases sealed it, under the named key itself.
    fn sealed_before(key: &DataKey, place: Place<'_>, blob_id: Uuid, value: &[u8]) -> Sealed {
        let mut sealed = value.to_vec();
        let data = Aad::from(associated_data(place, blob_id));
        let nonce = key.key.seal_in_place_append_tag(data, &mut sealed).unwrap();
        key.blob(blob_id, &nonce, &sealed)
    }

    fn a_uuid() -> impl Strategy<Value = Uuid> {
        any::<[u8; 16]>().prop_map(|bytes| uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    #[test]
    fn a_blob_opens_only_with_its_key_at_its_place_and_unchanged() {
        let (pool, other_pool) = (UserPoolId::new("us-east-1_abcdefghi"), UserPoolId::new("us-east-1_jklmnopqr"));
        let (stream, other_stream) = (StreamId::pool(), StreamId::new("users/x"));
        let place = Place { pool: &pool, stream: &stream, class: FieldClass::Personal };
        let key = DataKey::new(Uuid::from_u128(1), &[7; 32]);
        let id = uuid::Builder::from_random_bytes([9; 16]).into_uuid();
        let of_its_own = key.seal(place, id, b"value");
        assert_eq!(blob_id(&of_its_own).unwrap().get_version_num(), DERIVED);
        for blob in [of_its_own, sealed_before(&key, place, id, b"value")] {
            assert_eq!(key.open(place, &blob).unwrap(), b"value");
            assert_eq!(key_id(&blob).unwrap(), key.id());
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
                for bit in 0..8 {
                    let mut changed = blob.clone();
                    changed.0[index] ^= 1 << bit;
                    assert!(key.open(place, &changed).is_err(), "byte {index}, bit {bit}");
                }
                assert!(key.open(place, &Sealed(blob.0[..index].to_vec())).is_err(), "cut at {index}");
            }
        }
    }

    #[test]
    fn the_key_of_a_blob_is_what_hkdf_says() {
        // RFC 5869 by hand: the first block is HMAC(key, info | 1).
        let (key, id) = (DataKey::new(Uuid::from_u128(1), &[7; 32]), Uuid::from_u128(0x8000_u128 << 64));
        let (pool, stream) = (UserPoolId::none(), StreamId::pool());
        let place = Place { pool: &pool, stream: &stream, class: FieldClass::Personal };
        let blob = key.seal(place, id, b"value");
        let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
        let info = [BLOB_KEY, blob_id(&blob).unwrap().as_bytes(), &[1]].concat();
        let tag = aws_lc_rs::hmac::sign(&mac, &info);
        let derived = DataKey::new(key.id(), tag.as_ref().try_into().unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&blob.0[2 * ID_LENGTH..HEADER_LENGTH]).unwrap();
        let data = Aad::from(associated_data(place, blob_id(&blob).unwrap()));
        let mut sealed = blob.0[HEADER_LENGTH..].to_vec();
        assert_eq!(derived.key.open_in_place(nonce, data, &mut sealed).unwrap(), b"value");
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens_as_do_blobs_from_before(id in a_uuid(), bytes: [u8; 32], value: Vec<u8>) {
            let (pool, stream) = (UserPoolId::none(), StreamId::pool());
            let place = Place { pool: &pool, stream: &stream, class: FieldClass::RefreshToken };
            let key = DataKey::new(Uuid::from_u128(1), &bytes);
            for blob in [key.seal(place, id, &value), sealed_before(&key, place, id, &value)] {
                prop_assert_eq!(&key.open(place, &blob).unwrap(), &value);
            }
        }

        /// The limit of a key applies to one blob only: the named key never seals, and no two blobs share a key.
        #[test]
        fn no_two_blobs_are_sealed_under_one_key(ids in prop::collection::hash_set(a_uuid(), 2..20), bytes: [u8; 32]) {
            let (pool, stream) = (UserPoolId::none(), StreamId::pool());
            let place = Place { pool: &pool, stream: &stream, class: FieldClass::RefreshToken };
            let key = DataKey::new(Uuid::from_u128(1), &bytes);
            let blobs: Vec<_> = ids.iter().map(|id| key.seal(place, *id, b"value")).collect();
            let blob_ids: HashSet<_> = blobs.iter().map(|blob| blob_id(blob).unwrap()).collect();
            prop_assert_eq!(blob_ids.len(), ids.len());
            for blob in &blobs {
                let own = blob_id(blob).unwrap();
                let open_by = |opener: &RandomizedNonceKey| {
                    let nonce = Nonce::try_assume_unique_for_key(&blob.0[2 * ID_LENGTH..HEADER_LENGTH]).unwrap();
                    let mut sealed = blob.0[HEADER_LENGTH..].to_vec();
                    opener.open_in_place(nonce, Aad::from(associated_data(place, own)), &mut sealed).is_ok()
                };
                prop_assert!(!open_by(&key.key), "the named key seals nothing");
                for other in &blob_ids {
                    prop_assert_eq!(open_by(&key.key_of(*other)), *other == own);
                }
            }
        }
    }
}
