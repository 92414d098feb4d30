//! AddCustomAttributes.

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::add_custom_attributes as rules;
use crate::proto::v1::{AddCustomAttributesRequest, AddCustomAttributesResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Adds custom attributes to the schema of a pool.
pub async fn add_custom_attributes(
    app: &App,
    caller: &Caller,
    request: &AddCustomAttributesRequest,
) -> Result<AddCustomAttributesResponse, Failure> {
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let most = app.settings.counts.custom_attributes_per_pool;
    let decision = rules::add_custom_attributes(&pool.state, &request.custom_attributes, most);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&pool, decision).map(|()| AddCustomAttributesResponse {})).await
}
