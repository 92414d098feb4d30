//! The two forms of a password: made on the bounded threads, sealed under the user's key, opened again.

use std::sync::Arc;

use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::auth::srp;
use crate::domain::error::Error;
use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::user::Password;
use crate::store::cache::PoolView;
use crate::store::commit::LoadedUser;
use crate::store::seal::{DataKey, FieldClass, Place};

/// Whose password it is.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// The pool.
    pub pool_id: &'a UserPoolId,
    /// The user's data key.
    pub key: &'a Arc<DataKey>,
    /// The user's id.
    pub sub: Sub,
    /// The user's name, which the verifier is about: the `sub` where an address is the name.
    pub username: &'a str,
}

impl<'a> Owner<'a> {
    /// A user who is there.
    pub fn of(pool: &'a PoolView, user: &'a LoadedUser) -> Self {
        Self { pool_id: &pool.id, key: &user.key, sub: user.state.sub, username: user.state.username() }
    }
}

/// Makes and seals both forms of a password.
pub async fn seal(app: &App, caller: &Caller, owner: Owner<'_>, password: &str) -> Result<Password, Error> {
    let turn = caller.turn(owner.pool_id);
    let hash = app.passwords.hash(password, app.random.bytes(), &turn).await?;
    let (pool_name, user_id, text, salt) =
        (owner.pool_id.pool_name().to_owned(), owner.username.to_owned(), password.to_owned(), app.random.bytes());
    let verifier = app.passwords.work(&turn, move || srp::verifier(&pool_name, &user_id, &text, salt)).await?;
    let verifier = serde_json::to_vec(&verifier).map_err(Error::internal)?;
    Ok(Password {
        hash: seal_form(app, owner, FieldClass::PasswordHash, hash.as_bytes()),
        srp_verifier: seal_form(app, owner, FieldClass::SrpVerifier, &verifier),
    })
}

fn seal_form(app: &App, owner: Owner<'_>, class: FieldClass, value: &[u8]) -> crate::domain::personal::Sealed {
    let stream = StreamId::user(owner.sub);
    owner.key.seal(Place { pool: owner.pool_id, stream: &stream, class }, app.random.uuid(), value)
}

/// The user's hash, opened. A user without a password has none.
pub fn stored_hash(pool: &PoolView, user: &LoadedUser) -> Result<Option<String>, Error> {
    let Some(password) = &user.state.password else { return Ok(None) };
    let stream = StreamId::user(user.state.sub);
    let place = Place { pool: &pool.id, stream: &stream, class: FieldClass::PasswordHash };
    let opened = user.key.open(place, &password.hash).map_err(Error::internal)?;
    String::from_utf8(opened).map(Some).map_err(Error::internal)
}
