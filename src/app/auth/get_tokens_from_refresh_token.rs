//! GetTokensFromRefreshToken.

use crate::app::auth::flows::refresh::{Proof, Refreshing, by_token};
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, DeviceId};
use crate::proto::v1::{GetTokensFromRefreshTokenRequest, GetTokensFromRefreshTokenResponse};

/// New tokens for a refresh token, and a new refresh token if the client rotates them.
pub async fn get_tokens_from_refresh_token(
    app: &App,
    caller: &Caller,
    request: &GetTokensFromRefreshTokenRequest,
) -> Result<GetTokensFromRefreshTokenResponse, Failure> {
    let client_id = ClientId::new(request.client_id());
    let pool_id = app.store.pool_of_client(&client_id).await?;
    let refreshing = Refreshing {
        pool_id: &pool_id,
        client_id: &client_id,
        token: request.refresh_token(),
        proof: Proof::Secret(request.client_secret.as_deref()),
        device: request.device_key.as_deref().and_then(|key| DeviceId::of_key(&pool_id, key)),
        client_metadata: &request.client_metadata,
    };
    let tokens = by_token(app, caller, &refreshing).await;
    // The operation has no "password reset required": a token of such a user is answered as not authorized.
    let may_not = |error: Error| Error::not_authorized(error.message);
    let told = |error: Error| error.of_client(&client_id).unless(Exception::PasswordResetRequiredException, may_not);
    let tokens = tokens.map_err(|failure| failure.map_refusal(told))?;
    Ok(GetTokensFromRefreshTokenResponse { authentication_result: Some(tokens) })
}
