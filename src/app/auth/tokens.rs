//! The tokens of a session.

use crate::app::App;
use crate::domain::auth::session::Session;
use crate::domain::error::Error;
use crate::proto::v1::AuthenticationResultType;
use crate::store::cache::PoolView;
use crate::tokens::issue::{Issue, issue};
use crate::tokens::refresh_token::{self, RefreshToken};

/// The tokens of a session, without its refresh token.
pub fn tokens(app: &App, wanted: Issue<'_>) -> Result<AuthenticationResultType, Error> {
    let issued = issue(wanted, &app.signers, &app.random)?;
    Ok(AuthenticationResultType {
        access_token: Some(issued.access_token),
        id_token: Some(issued.id_token),
        expires_in: i32::try_from(issued.expires_in).ok(),
        token_type: Some("Bearer".to_owned()),
        ..AuthenticationResultType::default()
    })
}

/// The tokens of a new session, with its refresh token.
pub fn first_tokens(app: &App, wanted: Issue<'_>) -> Result<AuthenticationResultType, Error> {
    let mut tokens = tokens(app, wanted)?;
    let Issue { pool, session, .. } = wanted;
    tokens.refresh_token = Some(refresh_token(app, pool, session, session.refresh_counter));
    Ok(tokens)
}

/// The refresh token of a session with this counter.
pub fn refresh_token(app: &App, pool: &PoolView, session: &Session, counter: i32) -> String {
    let token = RefreshToken { session: session.event_id, counter, sub: Some(session.sub) };
    refresh_token::seal(&pool.id, &pool.keys, token, &app.random)
}
