//! Secrets of authenticator apps, between the rules and the events that carry them sealed.

use crate::app::App;
use crate::domain::auth::session::Nonce;
use crate::domain::error::Error;
use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::totp;
use crate::store::cache::PoolView;
use crate::store::loaded::LoadedUser;
use crate::store::seal::{self, FieldClass, Place};

fn place<'a>(pool: &'a UserPoolId, stream: &'a StreamId) -> Place<'a> {
    Place { pool, stream, class: FieldClass::SoftwareToken }
}

/// A new secret, sealed under the user's key.
pub fn seal_secret(app: &App, pool: &UserPoolId, user: &LoadedUser, secret: &[u8; totp::SECRET_BYTES]) -> Sealed {
    user.key.seal(place(pool, &StreamId::user(user.state.sub)), app.random.uuid(), secret)
}

/// A user's secret, opened.
pub fn open_secret(pool: &UserPoolId, user: &LoadedUser, sealed: &Sealed) -> Result<Vec<u8>, Error> {
    user.key.open(place(pool, &StreamId::user(user.state.sub)), sealed).map_err(Error::internal)
}

/// What is spent when the code of a time step is given. It is named by a keyed hash, so that two replicas that get the same
/// code at once spend the same.
pub fn step_once(pool: &PoolView, user: &LoadedUser, sealed: &Sealed, step: u64) -> Result<Nonce, Error> {
    let sub = user.state.sub;
    let secret = seal::blob_id(sealed).map_err(Error::internal)?;
    let hash = pool.keys.keyed_hash("software token", &[&sub.to_string(), &secret.to_string(), &step.to_string()]);
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    // Another UUID version than that of challenge tokens, which are kept beside it.
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    Ok(Nonce { id, sub, expires_at: totp::ends_at(step) })
}
