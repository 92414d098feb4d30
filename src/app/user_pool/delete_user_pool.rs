//! DeleteUserPool.

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::delete_user_pool as rules;
use crate::proto::v1::{DeleteUserPoolRequest, DeleteUserPoolResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Deletes a pool: it is not found any more, its keys are destroyed, and its rows are purged later.
pub async fn delete_user_pool(
    app: &App,
    caller: &Caller,
    request: &DeleteUserPoolRequest,
) -> Result<DeleteUserPoolResponse, Failure> {
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let decision = rules::delete_user_pool(&pool.state);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&pool, decision).map(|()| DeleteUserPoolResponse {})).await
}
