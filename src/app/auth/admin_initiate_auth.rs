//! AdminInitiateAuth.

use crate::app::auth::answer::Answer;
use crate::app::auth::challenges::Server;
use crate::app::auth::{password_flow, refresh_flow};
use crate::app::caller::Caller;
use crate::app::{App, until_settled};
use crate::domain::auth::AuthFlow;
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{AdminInitiateAuthRequest, AdminInitiateAuthResponse};

/// Begins a sign-in from a trusted server, by the flow that is asked for.
pub async fn admin_initiate_auth(
    app: &App,
    caller: &Caller,
    request: AdminInitiateAuthRequest,
) -> Result<AdminInitiateAuthResponse, Error> {
    let (pool_id, client_id) = (UserPoolId::new(request.user_pool_id()), ClientId::new(request.client_id()));
    let parameters = &request.auth_parameters;
    match AuthFlow::of_admin_initiate_auth(request.auth_flow())? {
        AuthFlow::RefreshToken => {
            let tokens: Result<_, Error> = until_settled!(
                Exception::TooManyRequestsException,
                refresh_flow::by_flow(app, caller, &pool_id, &client_id, parameters, true)
            );
            Ok(Answer::Tokens(Box::new(tokens?)).into())
        }
        flow => {
            let person_address = request.context_data.as_ref().and_then(|context| context.ip_address.as_deref());
            let server = Some(Server { person_address });
            password_flow::sign_in(app, caller, flow, &pool_id, &client_id, server, parameters).await
        }
    }
}
