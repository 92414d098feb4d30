//! ListUserPools.

use crate::app::caller::Caller;
use crate::app::pages::page;
use crate::app::{App, Failure};
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::UserPool;
use crate::proto::v1::{ListUserPoolsRequest, ListUserPoolsResponse, UserPoolDescriptionType};
use crate::store::pages::List;
use crate::store::service_accounts::{Role, ServiceAccount};

/// Lists pools: all of them, or those that a `pool-admin` administers.
pub async fn list_user_pools(
    app: &App,
    caller: &Caller,
    request: &ListUserPoolsRequest,
) -> Result<ListUserPoolsResponse, Failure> {
    let account = caller.account();
    let only =
        account.filter(|account| account.role == Role::PoolAdmin).map(|account| account.user_pool_ids.as_slice());
    let filter = only.and(account).map_or("", |account: &ServiceAccount| account.access_key_id.as_str());
    let list = List { pool: None, operation: "ListUserPools", filter };
    let after = app.store.page_begins(list, request.next_token.as_deref())?;
    let limit = i64::from(request.max_results());
    let pools = app.store.list_pools(after.as_deref(), only, limit + 1).await?;
    let (pools, next_token) = page(&app.store, list, pools, limit, |(id, _)| id.to_string());
    Ok(ListUserPoolsResponse { user_pools: pools.into_iter().map(description).collect(), next_token })
}

fn description((id, pool): (UserPoolId, UserPool)) -> UserPoolDescriptionType {
    UserPoolDescriptionType {
        id: Some(id.to_string()),
        name: Some(pool.name),
        lambda_config: pool.settings.lambda_config,
        last_modified_date: Some(pool.modified_at.into()),
        creation_date: Some(pool.created_at.into()),
        ..UserPoolDescriptionType::default()
    }
}
