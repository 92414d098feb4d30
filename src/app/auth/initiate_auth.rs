//! InitiateAuth.

use crate::app::App;
use crate::app::auth::{password_flow, refresh_flow};
use crate::app::caller::Caller;
use crate::domain::auth::AuthFlow;
use crate::domain::error::Error;
use crate::domain::ids::ClientId;
use crate::proto::v1::{InitiateAuthRequest, InitiateAuthResponse};

/// Begins a sign-in through a client, by the flow that is asked for.
pub async fn initiate_auth(
    app: &App,
    caller: &Caller,
    request: InitiateAuthRequest,
) -> Result<InitiateAuthResponse, Error> {
    let client_id = ClientId::new(request.client_id());
    let pool_id = app.store.pool_of_client(&client_id).await?;
    let parameters = &request.auth_parameters;
    let result = match AuthFlow::of_initiate_auth(request.auth_flow())? {
        AuthFlow::UserPassword => password_flow::sign_in(app, caller, &pool_id, &client_id, parameters).await?,
        AuthFlow::RefreshToken => refresh_flow::refresh(app, &pool_id, &client_id, parameters).await?,
    };
    Ok(InitiateAuthResponse { authentication_result: Some(result), ..InitiateAuthResponse::default() })
}
