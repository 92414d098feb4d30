//! AdminRespondToAuthChallenge.

use crate::app::App;
use crate::app::auth::challenges::{Response, Server, respond};
use crate::app::caller::Caller;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{AdminRespondToAuthChallengeRequest, AdminRespondToAuthChallengeResponse};

/// Answers a challenge from a trusted server.
pub async fn admin_respond_to_auth_challenge(
    app: &App,
    caller: &Caller,
    request: AdminRespondToAuthChallengeRequest,
) -> Result<AdminRespondToAuthChallengeResponse, Error> {
    let person_address = request.context_data.as_ref().and_then(|context| context.ip_address.as_deref());
    let response = Response {
        pool_id: &UserPoolId::new(request.user_pool_id()),
        client_id: &ClientId::new(request.client_id()),
        challenge_name: request.challenge_name(),
        session: request.session.as_deref(),
        responses: &request.challenge_responses,
        origin: &caller.developer_origin(),
        server: Some(Server { person_address }),
    };
    respond(app, caller, &response).await
}
