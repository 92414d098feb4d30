//! TagResource.

use crate::app::caller::Caller;
use crate::app::user_pool::tagged_pool::tagged_pool;
use crate::app::{App, Failure};
use crate::domain::user_pool::tag_resource as rules;
use crate::proto::v1::{TagResourceRequest, TagResourceResponse};
use crate::store::commit::Commit;

/// Sets tags of the pool that an ARN names.
pub async fn tag_resource(
    app: &App,
    caller: &Caller,
    request: &TagResourceRequest,
) -> Result<TagResourceResponse, Failure> {
    let pool = tagged_pool(app, request.resource_arn()).await?;
    let decision = rules::tag_resource(&pool.state, request.tags.clone());
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&pool, decision).map(|()| TagResourceResponse {})).await
}
