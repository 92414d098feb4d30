//! RevokeToken.

use crate::app::caller::Caller;
use crate::app::{App, Failure, clients};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::ClientId;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::{TokenRevocation, UserTokensRevoked};
use crate::proto::v1::{RevokeTokenRequest, RevokeTokenResponse};
use crate::store::error::StoreError;
use crate::store::metadata::ActorKind;
use crate::store::read::Wanted;
use crate::tokens::refresh_token;

/// Revokes a refresh token and all tokens of its session (RFC 7009: a token that is invalid already is no error).
pub async fn revoke_token(
    app: &App,
    caller: &Caller,
    request: &RevokeTokenRequest,
) -> Result<RevokeTokenResponse, Failure> {
    if request.revoke_associated_sessions() == "LINKED" {
        let message = "RevokeAssociatedSessions LINKED is not supported by this server yet.";
        return Err(Error::invalid_parameter(message).into());
    }
    let client_id = ClientId::new(request.client_id());
    let pool_id = app.store.pool_of_client(&client_id).await.map_err(through_client)?;
    let hint = app.store.pool_hint(&pool_id).await.map_err(through_client)?;
    let token = refresh_token::open(&pool_id, &hint.keys, request.token());
    let wanted = Wanted { session: token.map(|token| token.session), ..Wanted::default() };
    let found = app.store.read(&pool_id, Some(&client_id), wanted).await.map_err(through_client)?;
    let client = found.client.ok_or_else(|| unless_missing(Error::no_such_client(&client_id)))?;
    let secret = request.client_secret.as_deref();
    clients::check_client_secret(&found.pool, &client.state, secret).map_err(unless_missing)?;
    if !client.state.settings.enable_token_revocation {
        let message = "Token revocation is not enabled for this client.";
        return Err(Error::new(Exception::UnsupportedOperationException, message).into());
    }
    if token.is_none() {
        let message = "Only refresh tokens of this user pool can be revoked.";
        return Err(Error::new(Exception::UnsupportedTokenTypeException, message).into());
    }
    let Some((session, user)) = found.session.zip(found.user) else { return Ok(RevokeTokenResponse {}) };
    if session.client_id != client_id {
        return Err(Error::new(Exception::UnauthorizedException, "The token was issued to another client.").into());
    }
    let fact = Activity::TokensRevoked(UserTokensRevoked {
        client_id: client_id.to_string(),
        session_id: session.event_id.to_string(),
        reason: TokenRevocation::Requested.into(),
    });
    let origin = caller.origin(ActorKind::AppClient, client_id.to_string(), None);
    app.store.end_session(&found.pool, &origin, &user, session.event_id, &fact, app.clock.now()).await?;
    Ok(RevokeTokenResponse {})
}

fn through_client(error: StoreError) -> Failure {
    Failure::from(error).map_refusal(unless_missing)
}

/// The operation has no "not found": a missing client is answered as unauthorized.
fn unless_missing(error: Error) -> Error {
    match error.exception {
        Exception::ResourceNotFoundException | Exception::NotAuthorizedException => {
            Error::new(Exception::UnauthorizedException, "Invalid client or client secret.")
        }
        _ => error,
    }
}
