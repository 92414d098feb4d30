//! InitiateAuth.

use crate::app::auth::asked::Asked;
use crate::app::auth::flows::{self, Prepared};
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::AuthFlow;
use crate::domain::ids::ClientId;
use crate::proto::v1::{InitiateAuthRequest, InitiateAuthResponse};
use crate::store::metadata::ActorKind;

/// Does the slow work of the flow.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    request: &'a InitiateAuthRequest,
) -> Result<Prepared<'a>, Failure> {
    let client_id = ClientId::new(request.client_id());
    let asked = Asked {
        pool_id: app.store.pool_of_client(&client_id).await?,
        flow: AuthFlow::of_initiate_auth(request.auth_flow())?,
        client_id: client_id.clone(),
        origin: caller.origin(ActorKind::AppClient, client_id.to_string(), None),
        server: None,
        parameters: &request.auth_parameters,
        client_metadata: &request.client_metadata,
        session: request.session.as_deref(),
        chosen: None,
        continues: None,
    };
    let prepared = flows::prepare(app, caller, asked).await;
    prepared.map_err(|failure| failure.map_refusal(|error| error.of_client(&client_id)))
}

/// Begins a sign-in through a client, by the flow in the request.
pub async fn initiate_auth(
    app: &App,
    caller: &Caller,
    request: &InitiateAuthRequest,
    prepared: &Prepared<'_>,
) -> Result<InitiateAuthResponse, Failure> {
    let answered = prepared.settle(app, caller).await;
    answered.map_err(|failure| failure.map_refusal(|error| error.of_client(ClientId::new(request.client_id()))))
}
