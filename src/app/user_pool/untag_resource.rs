//! UntagResource.

use crate::app::caller::Caller;
use crate::app::user_pool::tagged_pool::tagged_pool;
use crate::app::{App, Failure};
use crate::domain::user_pool::untag_resource as rules;
use crate::proto::v1::{UntagResourceRequest, UntagResourceResponse};
use crate::store::commit::Commit;

/// Removes tags of the pool that an ARN names.
pub async fn untag_resource(
    app: &App,
    caller: &Caller,
    request: &UntagResourceRequest,
) -> Result<UntagResourceResponse, Failure> {
    let pool = tagged_pool(app, request.resource_arn()).await?;
    let decision = rules::untag_resource(&pool.state, &request.tag_keys);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&pool, decision).map(|()| UntagResourceResponse {})).await
}
