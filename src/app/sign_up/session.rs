//! The session of a sign-up, between its token and the rules.

use crate::app::clients::NamedThroughClient;
use crate::app::{App, Failure};
use crate::domain::app_client::AppClient;
use crate::domain::auth::sign_up_session::SignUpSession;
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::message::Medium;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::store::cache::PoolView;
use crate::tokens::sign_up_token;

/// The token for who signs up, if the client takes it later.
pub(super) fn begin(
    app: &App,
    pool: &PoolView,
    client: &AppClient,
    sub: Sub,
    at: Timestamp,
) -> Result<Option<String>, Error> {
    let session = SignUpSession::begin(app.random.uuid(), client, sub, at);
    session.map(|session| sign_up_token::seal(&pool.id, &pool.keys, &session, &app.random)).transpose()
}

/// The sign-up that a confirmation continues, if it names one that is still open. Nothing is told from a token that is of
/// another user: not even whether the named one exists.
pub(super) fn continued(
    named: &NamedThroughClient,
    token: Option<&str>,
    at: Timestamp,
) -> Result<Option<SignUpSession>, Failure> {
    let Some(token) = token else { return Ok(None) };
    let pool = &named.found.pool;
    let session = sign_up_token::open(&pool.id, &pool.keys, token).ok_or_else(Error::invalid_session)?;
    let continues = session.continues(&named.client.state, named.sub(), at)?;
    Ok(Some(session).filter(|_| continues))
}

/// The token with which a user whom a code has confirmed signs in.
pub(super) fn next(
    app: &App,
    named: &NamedThroughClient,
    session: &SignUpSession,
    (user, medium): (&User, Medium),
    at: Timestamp,
) -> Result<String, Error> {
    let pool = &named.found.pool;
    let next = session.confirmed(app.random.uuid(), &named.client.state, user, medium, at);
    sign_up_token::seal(&pool.id, &pool.keys, &next, &app.random)
}
