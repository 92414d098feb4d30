//! DescribeUserPool.

use crate::app::caller::Caller;
use crate::app::{App, Failure, shapes};
use crate::domain::ids::UserPoolId;
use crate::proto::v1::{DescribeUserPoolRequest, DescribeUserPoolResponse};
use crate::store::read::Wanted;

/// Shows a user pool.
pub async fn describe_user_pool(
    app: &App,
    _: &Caller,
    request: &DescribeUserPoolRequest,
) -> Result<DescribeUserPoolResponse, Failure> {
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let users = app.store.estimated_users(&id).await?;
    Ok(DescribeUserPoolResponse { user_pool: Some(shapes::user_pool(&id, &pool.state, users)) })
}
