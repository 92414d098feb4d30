//! RespondToAuthChallenge.

use crate::app::auth::challenges::{self, Prepared, Response};
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::ids::ClientId;
use crate::proto::v1::{RespondToAuthChallengeRequest, RespondToAuthChallengeResponse};
use crate::store::metadata::ActorKind;

/// Does the slow work of the answer.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    request: &'a RespondToAuthChallengeRequest,
) -> Result<Prepared<'a>, Failure> {
    let client_id = ClientId::new(request.client_id());
    let response = Response {
        pool_id: app.store.pool_of_client(&client_id).await?,
        client_id: client_id.clone(),
        challenge_name: request.challenge_name(),
        session: request.session.as_deref(),
        responses: &request.challenge_responses,
        client_metadata: &request.client_metadata,
        origin: caller.origin(ActorKind::AppClient, client_id.to_string(), None),
        server: None,
    };
    let prepared = challenges::prepare(app, caller, response).await;
    prepared.map_err(|failure| failure.map_refusal(|error| error.of_client(&client_id)))
}

/// Answers a challenge through a client.
pub async fn respond_to_auth_challenge(
    app: &App,
    caller: &Caller,
    request: &RespondToAuthChallengeRequest,
    prepared: &Prepared<'_>,
) -> Result<RespondToAuthChallengeResponse, Failure> {
    let answered = prepared.settle(app, caller).await;
    answered.map_err(|failure| failure.map_refusal(|error| error.of_client(ClientId::new(request.client_id()))))
}
