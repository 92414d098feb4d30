//! AdminInitiateAuth.

use crate::app::auth::asked::Asked;
use crate::app::auth::flows::{self, Prepared};
use crate::app::caller::Caller;
use crate::app::whence::Server;
use crate::app::{App, Failure};
use crate::domain::auth::AuthFlow;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{AdminInitiateAuthRequest, AdminInitiateAuthResponse};

/// Does the slow work of the flow.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    request: &'a AdminInitiateAuthRequest,
) -> Result<Prepared<'a>, Failure> {
    let asked = Asked {
        flow: AuthFlow::of_admin_initiate_auth(request.auth_flow())?,
        pool_id: UserPoolId::new(request.user_pool_id()),
        client_id: ClientId::new(request.client_id()),
        origin: caller.developer_origin(),
        server: Some(Server::of(request.context_data.as_ref())),
        parameters: &request.auth_parameters,
        client_metadata: &request.client_metadata,
        session: request.session.as_deref(),
        chosen: None,
        continues: None,
    };
    flows::prepare(app, caller, asked).await
}

/// Begins a sign-in from a trusted server, by the flow in the request.
pub async fn admin_initiate_auth(
    app: &App,
    caller: &Caller,
    _: &AdminInitiateAuthRequest,
    prepared: &Prepared<'_>,
) -> Result<AdminInitiateAuthResponse, Failure> {
    prepared.settle(app, caller).await
}
