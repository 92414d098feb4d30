//! The session of MFA_SETUP, for the operations that set up a second factor by it: they name neither user nor client.

use std::sync::Arc;

use crate::app::auth::step;
use crate::app::caller::Caller;
use crate::app::hashing::forms;
use crate::app::{App, Failure};
use crate::domain::auth::account::may_sign_in;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::{Answer, ChallengeSession, Proofs, expires_at};
use crate::domain::error::Error;
use crate::domain::time::Timestamp;
use crate::store::cache::{ClientView, PoolView};
use crate::store::commit::OperationalRow;
use crate::store::loaded::LoadedUser;
use crate::store::metadata::{ActorKind, Origin};
use crate::store::read::Wanted;
use crate::tokens::challenge_token;

/// A sign-in whose user sets up a second factor.
pub struct SetUp {
    /// The pool of the sign-in.
    pub pool: Arc<PoolView>,
    /// The user who signs in.
    pub user: LoadedUser,
    client: Arc<ClientView>,
    session: ChallengeSession,
}

/// Opens the session of MFA_SETUP in a challenge token, and finds its user.
pub async fn open(app: &App, token: &str, at: Timestamp) -> Result<SetUp, Failure> {
    let pool_id = challenge_token::pool_of(token).ok_or_else(Error::invalid_session)?;
    let no_session = |failure: Failure| failure.map_refusal(|_| Error::invalid_session());
    let hint = app.store.pool_hint(&pool_id).await.map_err(|error| no_session(error.into()))?;
    let session = challenge_token::open(&pool_id, &hint.keys, token).ok_or_else(Error::invalid_session)?;
    let wanted = Wanted { sub: Some(session.sub), ..Wanted::default() };
    let found = app.store.read(&pool_id, Some(&session.client_id), wanted).await;
    let found = found.map_err(|error| no_session(error.into()))?;
    let client = found.client.ok_or_else(Error::invalid_session)?;
    let user = found.user.ok_or_else(Error::invalid_session)?;
    let given = Answer {
        challenge: ChallengeName::MfaSetup,
        client: &client.state,
        user: &user.state,
        password: forms::id_of(user.state.password.as_ref())?,
        username: None,
        name_rules: &found.pool.name_rules,
        at,
    };
    if !session.fits(&given) {
        return Err(Error::invalid_session().into());
    }
    session.check(&given)?;
    may_sign_in(&found.pool.state, &user.state, at).map_err(|_| Error::invalid_session())?;
    if app.store.is_nonce_spent(&pool_id, session.nonce).await? {
        return Err(Error::used_session().into());
    }
    // Who knows the password alone must not replace a factor that was set up since.
    if !user.state.usable_factors(&found.pool.state).is_empty() {
        return Err(Error::invalid_session().into());
    }
    Ok(SetUp { pool: found.pool, user, client, session })
}

impl SetUp {
    /// The origin of what is written: the app of the sign-in.
    pub fn origin(&self, caller: &Caller) -> Origin {
        caller.origin(ActorKind::AppClient, self.client.state.client_id.to_string(), None)
    }

    /// The proofs of the sign-in so far.
    pub fn proofs(&self) -> Proofs {
        self.session.proofs
    }

    /// The row that uses up the session, which the next one replaces.
    pub fn spent(&self) -> OperationalRow {
        step::spent(&self.session)
    }

    /// The next session of the set-up, as a token, with these proofs.
    pub fn next(&self, app: &App, proofs: Proofs, at: Timestamp) -> Result<String, Error> {
        let next = ChallengeSession {
            nonce: app.random.uuid(),
            proofs,
            expires_at: expires_at(&self.client.state, at),
            ..self.session.clone()
        };
        challenge_token::seal(&self.pool.id, &self.pool.keys, &next, &app.random)
    }
}
