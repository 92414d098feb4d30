//! The text of opaque tokens that name their pool: `base64url(pool id) "." base64url(sealed content)`.
//!
//! The pool's id and, in the blob, the key's id are readable but authenticated. Each kind of token is bound to a place of
//! its own, so that no text of one kind is one of another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::environment::Random;
use crate::store::keys::PoolKeys;
use crate::store::seal::{FieldClass, Place};

/// A kind of token: what its content is bound to beside the pool.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// The name of the kind, in the place of a stream.
    pub stream: &'static str,
    /// The class of its content.
    pub class: FieldClass,
}

/// Seals content under the pool's token key.
pub(super) fn seal(kind: Kind, pool_id: &UserPoolId, keys: &PoolKeys, content: &[u8], random: &Random) -> String {
    let stream = StreamId::new(kind.stream);
    let place = Place { pool: pool_id, stream: &stream, class: kind.class };
    let blob = keys.token.seal(place, random.uuid(), content);
    format!("{}.{}", URL_SAFE_NO_PAD.encode(pool_id.as_str()), URL_SAFE_NO_PAD.encode(blob.0))
}

/// The content of a text, if it is of this kind and pool.
pub(super) fn open(kind: Kind, pool_id: &UserPoolId, keys: &PoolKeys, text: &str) -> Option<Vec<u8>> {
    let (pool, blob) = text.split_once('.')?;
    if URL_SAFE_NO_PAD.decode(pool).ok()? != pool_id.as_str().as_bytes() {
        return None;
    }
    let stream = StreamId::new(kind.stream);
    let place = Place { pool: pool_id, stream: &stream, class: kind.class };
    keys.token.open(place, &Sealed(URL_SAFE_NO_PAD.decode(blob).ok()?)).ok()
}
