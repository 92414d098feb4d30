//! UpdateUserPoolClient.

use crate::app::caller::Caller;
use crate::app::{App, Failure, shapes};
use crate::domain::app_client::update_user_pool_client as rules;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{UpdateUserPoolClientRequest, UpdateUserPoolClientResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Changes the settings of a client and shows it.
pub async fn update_user_pool_client(
    app: &App,
    caller: &Caller,
    request: &UpdateUserPoolClientRequest,
) -> Result<UpdateUserPoolClientResponse, Failure> {
    let (pool_id, client_id) = (UserPoolId::new(request.user_pool_id()), ClientId::new(request.client_id()));
    let found = app.store.read(&pool_id, Some(&client_id), Wanted::default()).await?;
    let (pool, client) = (found.pool, found.client.ok_or_else(|| Error::no_such_client(&client_id))?);
    let decision = rules::update_user_pool_client(&pool.state, &client.state, request.clone());
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now()).decided_from(&pool, None);
    let settlement = commit.decided_showing(&client, decision, |client| {
        Ok(UpdateUserPoolClientResponse { user_pool_client: Some(shapes::user_pool_client(&pool, client)?) })
    });
    app.store.settle(settlement).await
}
