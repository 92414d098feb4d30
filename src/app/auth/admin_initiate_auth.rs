//! AdminInitiateAuth.

use crate::app::auth::answer::Answer;
use crate::app::auth::challenges::Server;
use crate::app::auth::password_flow::{Asked, Guess, hear};
use crate::app::auth::refresh_flow;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::AuthFlow;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{AdminInitiateAuthRequest, AdminInitiateAuthResponse};

/// What the flow has to hear before it is decided: a password, or nothing.
pub type Prepared<'a> = Option<Box<Guess<'a>>>;

/// Hears a password, if the flow has one.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    request: &'a AdminInitiateAuthRequest,
) -> Result<Prepared<'a>, Failure> {
    let flow = AuthFlow::of_admin_initiate_auth(request.auth_flow())?;
    if flow == AuthFlow::RefreshToken {
        return Ok(None);
    }
    let person_address = request.context_data.as_ref().and_then(|context| context.ip_address.as_deref());
    let asked = Asked {
        flow,
        pool_id: UserPoolId::new(request.user_pool_id()),
        client_id: ClientId::new(request.client_id()),
        server: Some(Server { person_address }),
        parameters: &request.auth_parameters,
    };
    Ok(Some(Box::new(hear(app, caller, asked).await?)))
}

/// Begins a sign-in from a trusted server, by the flow that is asked for.
pub async fn admin_initiate_auth(
    app: &App,
    caller: &Caller,
    request: &AdminInitiateAuthRequest,
    prepared: &Prepared<'_>,
) -> Result<AdminInitiateAuthResponse, Failure> {
    if let Some(guess) = prepared {
        return guess.settle(app, caller).await;
    }
    let (pool_id, client_id) = (UserPoolId::new(request.user_pool_id()), ClientId::new(request.client_id()));
    let parameters = &request.auth_parameters;
    let tokens = refresh_flow::by_flow(app, caller, &pool_id, &client_id, parameters, true).await?;
    Ok(Answer::Tokens(Box::new(tokens)).into())
}
