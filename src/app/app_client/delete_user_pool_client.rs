//! DeleteUserPoolClient.

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::app_client::delete_user_pool_client as rules;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{DeleteUserPoolClientRequest, DeleteUserPoolClientResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Deletes a client; its tokens become invalid.
pub async fn delete_user_pool_client(
    app: &App,
    caller: &Caller,
    request: &DeleteUserPoolClientRequest,
) -> Result<DeleteUserPoolClientResponse, Failure> {
    let (pool_id, client_id) = (UserPoolId::new(request.user_pool_id()), ClientId::new(request.client_id()));
    let found = app.store.read(&pool_id, Some(&client_id), Wanted::default()).await?;
    let (pool, client) = (found.pool, found.client.ok_or_else(|| Error::no_such_client(&client_id))?);
    let decision = rules::delete_user_pool_client(&client.state);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&client, decision).map(|()| DeleteUserPoolClientResponse {})).await
}
