//! REFRESH_TOKEN_AUTH: one read, no write, no event.

use std::collections::BTreeMap;

use crate::app::auth::session;
use crate::app::{App, clients};
use crate::domain::auth::{AuthFlow, required_parameter};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::AuthenticationResultType;
use crate::store::read::Wanted;
use crate::tokens::refresh_token;

/// New ID and access tokens for a refresh token.
pub async fn refresh(
    app: &App,
    pool_id: &UserPoolId,
    client_id: &ClientId,
    parameters: &BTreeMap<String, String>,
) -> Result<AuthenticationResultType, Error> {
    let token = required_parameter(parameters, "REFRESH_TOKEN")?;
    let secret_hash = parameters.get("SECRET_HASH").map(String::as_str);
    let hint = app.store.pool_hint(pool_id).await?;
    let session_id = refresh_token::open(pool_id, &hint.keys, token);
    let found = app.store.read(pool_id, Some(client_id), Wanted { session: session_id, ..Wanted::default() }).await?;
    let client = found.client.ok_or_else(|| Error::no_such_client(client_id))?;
    let (pool, client) = (&found.pool, &client.state);
    let username = found.user.as_ref().map_or("", |user| user.state.username());
    let sub = found.user.as_ref().map_or_else(String::new, |user| user.state.sub.to_string());
    clients::check_secret_hash(pool, client, &[username, &sub], secret_hash)?;
    if !client.allows(AuthFlow::RefreshToken.name()) {
        return Err(Error::not_authorized("REFRESH_TOKEN_AUTH flow not enabled for this client"));
    }
    if session_id.is_none() {
        return Err(Error::not_authorized("Invalid Refresh Token"));
    }
    // A token of ours whose session or user is gone was revoked.
    let revoked = || Error::not_authorized("Refresh Token has been revoked");
    let (session, user) = found.session.zip(found.user).ok_or_else(revoked)?;
    if session.client_id != *client_id {
        return Err(Error::not_authorized("Invalid Refresh Token"));
    }
    let at = app.clock.now();
    if at >= session.expires_at {
        return Err(Error::not_authorized("Refresh Token has expired"));
    }
    if session.token_generation != user.state.token_generation {
        return Err(revoked());
    }
    if !user.state.enabled {
        return Err(Error::not_authorized("User is disabled."));
    }
    session::tokens(app, pool, client, &user.state, &session, at)
}
