//! AdminRespondToAuthChallenge.

use crate::app::auth::challenges::{self, Prepared, Response};
use crate::app::caller::Caller;
use crate::app::whence::Server;
use crate::app::{App, Failure};
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{AdminRespondToAuthChallengeRequest, AdminRespondToAuthChallengeResponse};

/// Does the slow work of the answer.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    request: &'a AdminRespondToAuthChallengeRequest,
) -> Result<Prepared<'a>, Failure> {
    let response = Response {
        pool_id: UserPoolId::new(request.user_pool_id()),
        client_id: ClientId::new(request.client_id()),
        challenge_name: request.challenge_name(),
        session: request.session.as_deref(),
        responses: &request.challenge_responses,
        client_metadata: &request.client_metadata,
        origin: caller.developer_origin(),
        server: Some(Server::of(request.context_data.as_ref())),
    };
    challenges::prepare(app, caller, response).await
}

/// Answers a challenge from a trusted server.
pub async fn admin_respond_to_auth_challenge(
    app: &App,
    caller: &Caller,
    _: &AdminRespondToAuthChallengeRequest,
    prepared: &Prepared<'_>,
) -> Result<AdminRespondToAuthChallengeResponse, Failure> {
    prepared.settle(app, caller).await
}
