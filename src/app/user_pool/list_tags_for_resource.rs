//! ListTagsForResource.

use crate::app::caller::Caller;
use crate::app::user_pool::tagged_pool::tagged_pool;
use crate::app::{App, Failure};
use crate::proto::v1::{ListTagsForResourceRequest, ListTagsForResourceResponse};

/// Lists the tags of the pool that an ARN names.
pub async fn list_tags_for_resource(
    app: &App,
    _: &Caller,
    request: &ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, Failure> {
    let pool = tagged_pool(app, request.resource_arn()).await?;
    Ok(ListTagsForResourceResponse { tags: pool.state.settings.user_pool_tags.clone() })
}
