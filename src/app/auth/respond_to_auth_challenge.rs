//! RespondToAuthChallenge.

use crate::app::App;
use crate::app::auth::challenges::{Response, respond};
use crate::app::caller::Caller;
use crate::domain::error::Error;
use crate::domain::ids::ClientId;
use crate::proto::v1::{RespondToAuthChallengeRequest, RespondToAuthChallengeResponse};
use crate::store::metadata::ActorKind;

/// Answers a challenge through a client.
pub async fn respond_to_auth_challenge(
    app: &App,
    caller: &Caller,
    request: RespondToAuthChallengeRequest,
) -> Result<RespondToAuthChallengeResponse, Error> {
    let client_id = ClientId::new(request.client_id());
    let pool_id = app.store.pool_of_client(&client_id).await?;
    let response = Response {
        pool_id: &pool_id,
        client_id: &client_id,
        challenge_name: request.challenge_name(),
        session: request.session.as_deref(),
        responses: &request.challenge_responses,
        origin: &caller.origin(ActorKind::AppClient, client_id.to_string(), None),
        server: None,
    };
    respond(app, caller, &response).await.map_err(|error| error.of_client(&client_id))
}
