//! The two forms of a password: made on the bounded threads, sealed under the user's key, opened again.

use std::sync::Arc;

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::srp::{self, SrpVerifier};
use crate::domain::error::Error;
use crate::domain::ids::{PasswordId, StreamId, Sub, UserPoolId};
use crate::domain::personal::Sealed;
use crate::domain::user::{Password, password_history};
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
    /// The hashes of passwords that may not be chosen again, with which the password was compared.
    compared: Vec<Sealed>,
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
        Ok(Self { username, hash, verifier, compared: Vec::new() })
    }

    /// Makes both forms of a user's next password. Refuses one of those that the pool's policy remembers.
    pub async fn of_next(
        app: &App,
        caller: &Caller,
        pool: &PoolView,
        user: &LoadedUser,
        password: &str,
    ) -> Result<Self, Error> {
        let compared: Vec<_> = password_history::compared(&pool.state, &user.state).into_iter().cloned().collect();
        for former in &compared {
            let stored = open_hash(pool, user, former)?;
            if app.hasher.verify(password, Some(&stored), &caller.turn(&pool.id)).await? {
                return Err(password_history::used_before());
            }
        }
        Ok(Self { compared, ..Self::make(app, caller, &pool.id, user.state.username(), password).await? })
    }

    /// The next password of a user, sealed. Outdated if it should be compared with other former ones by now.
    pub fn seal_next(&self, app: &App, pool: &PoolView, user: &LoadedUser) -> Result<Password, Failure> {
        if !password_history::compared(&pool.state, &user.state).into_iter().eq(&self.compared) {
            return Err(Failure::Outdated);
        }
        self.seal(app, Owner::of(pool, user))
    }

    /// The password, sealed for its owner. Outdated if the owner has another name, because the verifier depends on it.
    pub fn seal(&self, app: &App, owner: Owner<'_>) -> Result<Password, Failure> {
        if owner.username != self.username {
            return Err(Failure::Outdated);
        }
        Ok(Password {
            hash: seal_hash(app, owner, &self.hash),
            srp_verifier: seal_form(app, owner, FieldClass::SrpVerifier, &self.verifier),
        })
    }
}

/// The hash, sealed for its owner.
pub fn seal_hash(app: &App, owner: Owner<'_>, hash: &str) -> Sealed {
    seal_form(app, owner, FieldClass::PasswordHash, hash.as_bytes())
}

fn seal_form(app: &App, owner: Owner<'_>, class: FieldClass, value: &[u8]) -> Sealed {
    let stream = StreamId::user(owner.sub);
    owner.key.seal(Place { pool: owner.pool_id, stream: &stream, class }, app.random.uuid(), value)
}

/// The id of a password, if there is one: that of its verifier, which stays when the password is hashed again. A password
/// without a verifier has the id of its hash.
pub fn id_of(password: Option<&Password>) -> Result<Option<PasswordId>, Error> {
    let Some(Password { hash, srp_verifier }) = password else { return Ok(None) };
    let form = if srp_verifier.0.is_empty() { hash } else { srp_verifier };
    Ok(Some(PasswordId(seal::blob_id(form).map_err(Error::internal)?)))
}

/// The user's SRP verifier, opened. `None` for a user without a password, and for one whose password came as a hash or
/// has a verifier in an older form: the next sign-in by password makes one.
pub fn stored_verifier(pool: &PoolView, user: &LoadedUser) -> Result<Option<SrpVerifier>, Error> {
    let Some(password) = &user.state.password else { return Ok(None) };
    if password.srp_verifier.0.is_empty() {
        return Ok(None);
    }
    let stream = StreamId::user(user.state.sub);
    let place = Place { pool: &pool.id, stream: &stream, class: FieldClass::SrpVerifier };
    let opened = user.key.open(place, &password.srp_verifier).map_err(Error::internal)?;
    Ok(serde_json::from_slice(&opened).ok())
}

/// Whether the user has a password that has no SRP verifier yet.
pub fn lacks_verifier(pool: &PoolView, user: &LoadedUser) -> Result<bool, Error> {
    Ok(user.state.password.is_some() && stored_verifier(pool, user)?.is_none())
}

/// The user's hash, opened. A user without a password has none.
pub fn stored_hash(pool: &PoolView, user: &LoadedUser) -> Result<Option<String>, Error> {
    user.state.password.as_ref().map(|password| open_hash(pool, user, &password.hash)).transpose()
}

fn open_hash(pool: &PoolView, user: &LoadedUser, hash: &Sealed) -> Result<String, Error> {
    let stream = StreamId::user(user.state.sub);
    let place = Place { pool: &pool.id, stream: &stream, class: FieldClass::PasswordHash };
    String::from_utf8(user.key.open(place, hash).map_err(Error::internal)?).map_err(Error::internal)
}

/// A password that was compared with a user's: the slow part of a guess, done once.
pub struct Comparison {
    with: Compared,
    matches: bool,
}

/// What a guess was compared with.
#[derive(PartialEq, Eq)]
enum Compared {
    Hash(Option<String>),
    Verifier(Option<PasswordId>),
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
        Ok(Self { with: Compared::Hash(stored), matches })
    }

    /// A guess that was compared by the verifier of this password; by a made-up one if there is none.
    pub fn by_verifier(password: Option<PasswordId>, matches: bool) -> Self {
        Self { with: Compared::Verifier(password), matches }
    }

    /// Whether it is the user's password. Outdated if the user had another one when it was compared.
    pub fn matches(&self, pool: &PoolView, user: Option<&LoadedUser>) -> Result<bool, Failure> {
        let now = match (&self.with, user) {
            (Compared::Hash(_), user) => Compared::Hash(stored_hash_of(pool, user)?),
            (Compared::Verifier(_), Some(user)) if stored_verifier(pool, user)?.is_some() => {
                Compared::Verifier(id_of(user.state.password.as_ref())?)
            }
            (Compared::Verifier(_), _) => Compared::Verifier(None),
        };
        if self.with == now { Ok(self.matches) } else { Err(Failure::Outdated) }
    }
}

fn stored_hash_of(pool: &PoolView, user: Option<&LoadedUser>) -> Result<Option<String>, Error> {
    Ok(user.map(|user| stored_hash(pool, user)).transpose()?.flatten())
}
