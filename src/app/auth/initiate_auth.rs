//! InitiateAuth.

use crate::app::auth::answer::Answer;
use crate::app::auth::{password_flow, refresh_flow};
use crate::app::caller::Caller;
use crate::app::{App, until_settled};
use crate::domain::auth::AuthFlow;
use crate::domain::error::{Error, Exception};
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
    match AuthFlow::of_initiate_auth(request.auth_flow())? {
        AuthFlow::RefreshToken => {
            let tokens: Result<_, Error> = until_settled!(
                Exception::TooManyRequestsException,
                refresh_flow::by_flow(app, caller, &pool_id, &client_id, parameters, false)
            );
            tokens.map(|tokens| Answer::Tokens(Box::new(tokens)).into())
        }
        flow => password_flow::sign_in(app, caller, flow, &pool_id, &client_id, None, parameters).await,
    }
    .map_err(|error| error.of_client(&client_id))
}
