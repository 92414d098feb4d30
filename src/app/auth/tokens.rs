//! The tokens of a session.

use crate::app::App;
use crate::domain::app_client::AppClient;
use crate::domain::auth::session::Session;
use crate::domain::error::Error;
use crate::domain::group::Group;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::proto::v1::AuthenticationResultType;
use crate::store::cache::PoolView;
use crate::tokens::issue::{Issue, issue};
use crate::tokens::refresh_token::{self, RefreshToken};

/// The tokens of a session, without its refresh token.
pub fn tokens(
    app: &App,
    pool: &PoolView,
    client: &AppClient,
    user: &User,
    groups: &[Group],
    session: &Session,
    at: Timestamp,
) -> Result<AuthenticationResultType, Error> {
    let issued = issue(Issue { pool, client, user, groups, session, at }, &app.signers, &app.random)?;
    Ok(AuthenticationResultType {
        access_token: Some(issued.access_token),
        id_token: Some(issued.id_token),
        expires_in: i32::try_from(issued.expires_in).ok(),
        token_type: Some("Bearer".to_owned()),
        ..AuthenticationResultType::default()
    })
}

/// The tokens of a new session, with its refresh token.
pub fn first_tokens(
    app: &App,
    pool: &PoolView,
    client: &AppClient,
    user: &User,
    groups: &[Group],
    begun: &Session,
    at: Timestamp,
) -> Result<AuthenticationResultType, Error> {
    let mut tokens = tokens(app, pool, client, user, groups, begun, at)?;
    tokens.refresh_token = Some(refresh_token(app, pool, begun, begun.refresh_counter));
    Ok(tokens)
}

/// The refresh token of a session with this counter.
pub fn refresh_token(app: &App, pool: &PoolView, session: &Session, counter: i32) -> String {
    let token = RefreshToken { session: session.event_id, counter, sub: Some(session.sub) };
    refresh_token::seal(&pool.id, &pool.keys, token, &app.random)
}
