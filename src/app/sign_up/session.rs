//! The session of a sign-up, between its token and the rules.

use crate::app::App;
use crate::app::clients::NamedThroughClient;
use crate::domain::app_client::AppClient;
use crate::domain::auth::sign_up_session::{Proved, SignUpSession, Stage};
use crate::domain::error::Error;
use crate::domain::ids::Sub;
use crate::domain::message::Medium;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::store::cache::PoolView;
use crate::tokens::sign_up_token;

/// The token of a user at this stage of the sign-up, if the client takes it later.
pub(super) fn begin(
    app: &App,
    pool: &PoolView,
    client: &AppClient,
    (sub, stage): (Sub, Stage),
    at: Timestamp,
) -> Result<Option<String>, Error> {
    let session = SignUpSession::begin(app.random.uuid(), client, sub, stage, at);
    session.map(|session| sign_up_token::seal(&pool.id, &pool.keys, &session, &app.random)).transpose()
}

/// Refuses a confirmation with a token that does not belong to it. Nothing is told from one of another user: not even
/// whether the named one exists.
pub(super) fn check(named: &NamedThroughClient, token: Option<&str>) -> Result<(), Error> {
    let Some(token) = token else { return Ok(()) };
    let pool = &named.found.pool;
    let session = sign_up_token::open(&pool.id, &pool.keys, token).ok_or_else(Error::invalid_session)?;
    session.check_confirmation(&named.client.state, named.sub())
}

/// The token with which a user signs in whom a code has confirmed that was sent by this medium.
pub(super) fn next(
    app: &App,
    named: &NamedThroughClient,
    user: &User,
    medium: Medium,
    at: Timestamp,
) -> Result<Option<String>, Error> {
    let stage = Stage::Confirmed(Proved { medium, token_generation: user.token_generation });
    begin(app, &named.found.pool, &named.client.state, (user.sub, stage), at)
}
