//! The two forms of a password: made on the bounded threads, sealed under the user's key, opened again.

use std::sync::Arc;

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::srp;
use crate::domain::error::Error;
use crate::domain::ids::{PasswordId, StreamId, Sub, UserPoolId};
use crate::domain::user::Password;
use crate::store::cache::PoolView;
use crate::store::loaded::LoadedUser;
use crate::store::seal::{self, DataKey, FieldClass, Place};

/// The user that a password belongs to.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// The pool that the user is in.
    pub pool_id: &'a UserPoolId,
    /// The user's data key.
    pub key: &'a Arc<DataKey>,
    /// The user's id, which the encryption is bound to.
    pub sub: Sub,
    /// The user name in the SRP verifier: the `sub` if addresses are the user names.
    pub username: &'a str,
}

impl<'a> Owner<'a> {
    /// An existing user as the owner.
    pub fn of(pool: &'a PoolView, user: &'a LoadedUser) -> Self {
        Self { pool_id: &pool.id, key: &user.key, sub: user.state.sub, username: user.state.username() }
    }
}

/// Both forms of a password, not yet sealed. Making them is the slow part of setting a password, done once.
pub struct PasswordForms {
    username: String,
    hash: String,
    verifier: Vec<u8>,
}

impl PasswordForms {
    /// Makes both forms of a password of a user of this name.
    pub async fn make(
        app: &App,
        caller: &Caller,
        pool_id: &UserPoolId,
        username: &str,
        password: &str,
    ) -> Result<Self, Error> {
        let (turn, username) = (caller.turn(pool_id), username.to_owned());
        let hash = app.hasher.hash(password, app.random.bytes(), &turn).await?;
        let (pool_name, user_id, text, salt) =
            (pool_id.pool_name().to_owned(), username.clone(), password.to_owned(), app.random.bytes());
        let verifier = app.hasher.work(&turn, move || srp::verifier(&pool_name, &user_id, &text, salt)).await?;
        let verifier = serde_json::to_vec(&verifier).map_err(Error::internal)?;
        Ok(Self { username, hash, verifier })
    }

    /// The password, sealed for its owner. Outdated if the owner has another name, because the verifier depends on it.
    pub fn seal(&self, app: &App, owner: Owner<'_>) -> Result<Password, Failure> {
        if owner.username != self.username {
            return Err(Failure::Outdated);
        }
        Ok(Password {
            hash: seal_form(app, owner, FieldClass::PasswordHash, self.hash.as_bytes()),
            srp_verifier: seal_form(app, owner, FieldClass::SrpVerifier, &self.verifier),
        })
    }
}

fn seal_form(app: &App, owner: Owner<'_>, class: FieldClass, value: &[u8]) -> crate::domain::personal::Sealed {
    let stream = StreamId::user(owner.sub);
    owner.key.seal(Place { pool: owner.pool_id, stream: &stream, class }, app.random.uuid(), value)
}

/// The id of a password, if there is one.
pub fn id_of(password: Option<&Password>) -> Result<Option<PasswordId>, Error> {
    let id = password.map(|password| seal::blob_id(&password.srp_verifier)).transpose().map_err(Error::internal)?;
    Ok(id.map(PasswordId))
}

/// The user's hash, opened. A user without a password has none.
pub fn stored_hash(pool: &PoolView, user: &LoadedUser) -> Result<Option<String>, Error> {
    let Some(password) = &user.state.password else { return Ok(None) };
    let stream = StreamId::user(user.state.sub);
    let place = Place { pool: &pool.id, stream: &stream, class: FieldClass::PasswordHash };
    let opened = user.key.open(place, &password.hash).map_err(Error::internal)?;
    String::from_utf8(opened).map(Some).map_err(Error::internal)
}

/// A password that was compared with a user's: the slow part of a guess, done once.
pub struct Comparison {
    stored: Option<String>,
    matches: bool,
}

impl Comparison {
    /// Compares a password with that of a user, or with a placeholder, which takes as long.
    pub async fn make(
        app: &App,
        caller: &Caller,
        pool: &PoolView,
        user: Option<&LoadedUser>,
        password: &str,
    ) -> Result<Self, Error> {
        let stored = stored_hash_of(pool, user)?;
        let matches = app.hasher.verify(password, stored.as_deref(), &caller.turn(&pool.id)).await?;
        Ok(Self { stored, matches })
    }

    /// Whether it is the user's password. Outdated if the user had another one when it was compared.
    pub fn matches(&self, pool: &PoolView, user: Option<&LoadedUser>) -> Result<bool, Failure> {
        if self.stored == stored_hash_of(pool, user)? { Ok(self.matches) } else { Err(Failure::Outdated) }
    }
}

fn stored_hash_of(pool: &PoolView, user: Option<&LoadedUser>) -> Result<Option<String>, Error> {
    Ok(user.map(|user| stored_hash(pool, user)).transpose()?.flatten())
}
