//! SECRET_BLOCK: a sign-in between the two messages of an SRP exchange, sealed under the pool's token key.
//!
//! `base64(sealed JSON)`. The client signs the bytes and sends the text back: nothing is written until then, and any
//! replica can take the answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::auth::session::ChallengeSession;
use crate::domain::error::Error;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::environment::Random;
use crate::store::keys::PoolKeys;
use crate::store::seal::{FieldClass, Place};

/// A sign-in that a block holds.
pub struct Opened {
    /// The sign-in.
    pub session: ChallengeSession,
    /// The bytes of the block, which the client has signed.
    pub bytes: Vec<u8>,
}

/// Seals a sign-in into the text of a block.
pub fn seal(
    pool_id: &UserPoolId,
    keys: &PoolKeys,
    session: &ChallengeSession,
    random: &Random,
) -> Result<String, Error> {
    let content = serde_json::to_vec(session).map_err(Error::internal)?;
    Ok(STANDARD.encode(keys.token.seal(place(pool_id, &stream()), random.uuid(), &content).0))
}

/// The sign-in in a block, if the block belongs to this pool.
pub fn open(pool_id: &UserPoolId, keys: &PoolKeys, text: &str) -> Option<Opened> {
    let blob = Sealed(STANDARD.decode(text).ok()?);
    let content = keys.token.open(place(pool_id, &stream()), &blob).ok()?;
    let session = serde_json::from_slice(&content).ok()?;
    Some(Opened { session, bytes: blob.0 })
}

fn stream() -> StreamId {
    StreamId::new("secret-blocks")
}

fn place<'a>(pool: &'a UserPoolId, stream: &'a StreamId) -> Place<'a> {
    Place { pool, stream, class: FieldClass::SecretBlock }
}
