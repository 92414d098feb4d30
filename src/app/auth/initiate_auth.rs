//! InitiateAuth.

use crate::app::auth::answer::Answer;
use crate::app::auth::password_flow::{Asked, Guess, hear};
use crate::app::auth::refresh_flow;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::AuthFlow;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{InitiateAuthRequest, InitiateAuthResponse};

/// What the flow has to hear before it is decided.
pub enum Prepared<'a> {
    /// A password.
    Password(Box<Guess<'a>>),
    /// Nothing: a refresh token is read with the rest.
    Refresh(UserPoolId),
}

/// Hears a password, if the flow has one.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    request: &'a InitiateAuthRequest,
) -> Result<Prepared<'a>, Failure> {
    let client_id = ClientId::new(request.client_id());
    let pool_id = app.store.pool_of_client(&client_id).await?;
    let flow = AuthFlow::of_initiate_auth(request.auth_flow())?;
    if flow == AuthFlow::RefreshToken {
        return Ok(Prepared::Refresh(pool_id));
    }
    let parameters = &request.auth_parameters;
    let asked = Asked { flow, pool_id, client_id: client_id.clone(), server: None, parameters };
    let guess = hear(app, caller, asked).await;
    let guess = guess.map_err(|failure| failure.map_refusal(|error| error.of_client(&client_id)))?;
    Ok(Prepared::Password(Box::new(guess)))
}

/// Begins a sign-in through a client, by the flow that is asked for.
pub async fn initiate_auth(
    app: &App,
    caller: &Caller,
    request: &InitiateAuthRequest,
    prepared: &Prepared<'_>,
) -> Result<InitiateAuthResponse, Failure> {
    let client_id = ClientId::new(request.client_id());
    let answered = match prepared {
        Prepared::Password(guess) => guess.settle(app, caller).await,
        Prepared::Refresh(pool_id) => {
            let parameters = &request.auth_parameters;
            let tokens = refresh_flow::by_flow(app, caller, pool_id, &client_id, parameters, false).await;
            tokens.map(|tokens| Answer::Tokens(Box::new(tokens)).into())
        }
    };
    answered.map_err(|failure| failure.map_refusal(|error| error.of_client(&client_id)))
}
