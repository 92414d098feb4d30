//! Refresh tokens: opaque, sealed under the pool's token key, naming a session and which of its tokens it is.
//!
//! `base64url(pool id) "." base64url(sealed session id and counter)`: the pool and, in the blob, the key's id stand in clear and are
//! authenticated.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::environment::Random;
use crate::store::keys::PoolKeys;
use crate::store::seal::{FieldClass, Place};

const VERSION: u8 = 1;

/// What a refresh token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session.
    pub session: Uuid,
    /// Which of the session's tokens: each rotation gives the next one.
    pub counter: i32,
}

/// The text of a token.
pub fn seal(pool_id: &UserPoolId, keys: &PoolKeys, token: RefreshToken, random: &Random) -> String {
    let mut content = vec![VERSION];
    content.extend_from_slice(token.session.as_bytes());
    content.extend_from_slice(&token.counter.to_be_bytes());
    let blob = keys.token.seal(place(pool_id, &stream()), random.uuid(), &content);
    format!("{}.{}", URL_SAFE_NO_PAD.encode(pool_id.as_str()), URL_SAFE_NO_PAD.encode(blob.0))
}

/// What a token names, if it is one of this pool.
pub fn open(pool_id: &UserPoolId, keys: &PoolKeys, token: &str) -> Option<RefreshToken> {
    let (pool, blob) = token.split_once('.')?;
    if URL_SAFE_NO_PAD.decode(pool).ok()? != pool_id.as_str().as_bytes() {
        return None;
    }
    let blob = Sealed(URL_SAFE_NO_PAD.decode(blob).ok()?);
    let content = keys.token.open(place(pool_id, &stream()), &blob).ok()?;
    match content.split_first()? {
        (&VERSION, content) => {
            let (session, counter) = content.split_at_checked(16)?;
            let counter = i32::from_be_bytes(counter.try_into().ok()?);
            Some(RefreshToken { session: Uuid::from_slice(session).ok()?, counter })
        }
        _ => None,
    }
}

fn stream() -> StreamId {
    StreamId::new("refresh-tokens")
}

fn place<'a>(pool: &'a UserPoolId, stream: &'a StreamId) -> Place<'a> {
    Place { pool, stream, class: FieldClass::RefreshToken }
}
