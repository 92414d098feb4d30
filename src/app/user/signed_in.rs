//! The user of an access token, with proof that the token is still valid: one read.

use std::sync::Arc;

use uuid::Uuid;

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, DeviceId};
use crate::domain::rate::Arrival;
use crate::domain::user::UserStatus;
use crate::domain::user::codes::SentCode;
use crate::store::cache::{ClientView, PoolView};
use crate::store::error::StoreError;
use crate::store::loaded::{LoadedUser, UsedDevice};
use crate::store::metadata::{ActorKind, Origin};
use crate::store::read::{VersionedAttempts, Wanted};
use crate::tokens::access_token::AccessToken;

/// The user of a valid access token.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The pool that issued the token.
    pub pool: Arc<PoolView>,
    /// The client that the token was issued to.
    pub client: Arc<ClientView>,
    /// The user that the token names.
    pub user: LoadedUser,
    /// The id of that client.
    pub client_id: ClientId,
    /// The session that the token belongs to.
    pub session: Uuid,
    /// The device of that session.
    pub session_device: Option<DeviceId>,
    /// The device in `Wanted`, if it exists, whoever it belongs to.
    pub device: Option<UsedDevice>,
    /// The user's code for the purpose in `Wanted`, if there is one.
    pub code: Option<SentCode>,
    /// Which of the names in `Wanted` are taken.
    pub taken: Vec<String>,
    /// The count of wrong passwords, if `Wanted` asks for it.
    pub attempts: Option<VersionedAttempts>,
    /// The stored state of the rate in `Wanted`, if there is one.
    pub arrival: Option<Arrival>,
}

impl SignedIn {
    /// The origin of what the user writes with the token.
    pub fn origin(&self, caller: &Caller) -> Origin {
        caller.origin(ActorKind::User, self.user.state.sub.to_string(), Some(self.session.to_string()))
    }
}

/// An access token with a valid signature that has not expired. Whether it was revoked is known only after the read.
pub async fn verified(app: &App, token: &str) -> Result<AccessToken, Failure> {
    app.access_tokens.verify(&app.store, token, app.clock.now()).await
}

/// Finds the user of an access token. Fails if the token is not ours, has expired, its user is deleted, or its session
/// has ended.
pub async fn signed_in(app: &App, token: &str) -> Result<SignedIn, Failure> {
    signed_in_with(app, &verified(app, token).await?, Wanted::default()).await
}

/// The refusal of a token whose session has ended.
pub fn revoked() -> Error {
    Error::not_authorized("Access Token has been revoked")
}

/// Finds the user of a verified token, with whatever else `wanted` asks to read.
pub async fn signed_in_with(app: &App, token: &AccessToken, wanted: Wanted<'_>) -> Result<SignedIn, Failure> {
    let wanted = Wanted { session: Some(token.session), sub: Some(token.sub), ..wanted };
    let found = match app.store.read(&token.pool_id, Some(&token.client_id), wanted).await {
        // A token of a deleted client counts as revoked.
        Err(StoreError::NotFound(_)) => return Err(revoked().into()),
        found => found?,
    };
    let user = found.user.ok_or_else(Error::no_such_user)?;
    let session = found.session.filter(|session| session.sub == token.sub && session.client_id == token.client_id);
    let session = session.ok_or_else(revoked)?;
    // Disabling ends sessions, too: "disabled" is the more helpful answer.
    if !user.state.enabled {
        return Err(Error::not_authorized("User is disabled.").into());
    }
    // The same holds for a password that was reset.
    if user.state.status == UserStatus::ResetRequired {
        return Err(Error::password_reset_required().into());
    }
    if session.token_generation != user.state.token_generation {
        return Err(revoked().into());
    }
    if user.state.status == UserStatus::Unconfirmed {
        return Err(Error::new(Exception::UserNotConfirmedException, "User is not confirmed.").into());
    }
    Ok(SignedIn {
        pool: found.pool,
        client: found.client.ok_or_else(revoked)?,
        user,
        client_id: token.client_id.clone(),
        session: token.session,
        session_device: session.device,
        device: found.device,
        code: found.code,
        taken: found.taken,
        attempts: found.attempts,
        arrival: found.arrival,
    })
}
