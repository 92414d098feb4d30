//! Credentials of passkeys, between the rules and the events that carry them sealed.

use crate::app::App;
use crate::domain::error::Error;
use crate::domain::ids::{PasskeyId, StreamId, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::user::passkeys::Passkey;
use crate::domain::web_authn::Credential;
use crate::store::keys::PoolKeys;
use crate::store::loaded::LoadedUser;
use crate::store::seal::{FieldClass, Place};

/// The id of the passkey that browsers know by this credential id.
pub fn id_of(keys: &PoolKeys, credential_id: &[u8]) -> PasskeyId {
    PasskeyId::of_hash(&keys.keyed_hash("passkey", &[&hex::encode(credential_id)]))
}

/// Seals a credential under its user's key.
pub fn seal(app: &App, pool: &UserPoolId, user: &LoadedUser, credential: &Credential) -> Result<Sealed, Error> {
    let content = serde_json::to_vec(credential).map_err(Error::internal)?;
    Ok(user.key.seal(place(pool, &StreamId::user(user.state.sub)), app.random.uuid(), &content))
}

/// The credential of a user's passkey, opened.
pub fn open(pool: &UserPoolId, user: &LoadedUser, passkey: &Passkey) -> Result<Credential, Error> {
    let content = user.key.open(place(pool, &StreamId::user(user.state.sub)), &passkey.credential);
    serde_json::from_slice(&content.map_err(Error::internal)?).map_err(Error::internal)
}

/// The credentials of a user that were made for this relying party.
pub fn made_for(party: &str, pool: &UserPoolId, user: &LoadedUser) -> Result<Vec<Credential>, Error> {
    let all: Vec<_> = user.state.passkeys.iter().map(|passkey| open(pool, user, passkey)).collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|credential| credential.relying_party_id == party).collect())
}

fn place<'a>(pool: &'a UserPoolId, stream: &'a StreamId) -> Place<'a> {
    Place { pool, stream, class: FieldClass::Passkey }
}
