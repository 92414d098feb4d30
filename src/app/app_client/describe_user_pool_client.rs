//! DescribeUserPoolClient.

use crate::app::caller::Caller;
use crate::app::{App, Failure, shapes};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::{DescribeUserPoolClientRequest, DescribeUserPoolClientResponse};
use crate::store::read::Wanted;

/// Shows an app client with its secret.
pub async fn describe_user_pool_client(
    app: &App,
    _: &Caller,
    request: &DescribeUserPoolClientRequest,
) -> Result<DescribeUserPoolClientResponse, Failure> {
    let (pool_id, client_id) = (UserPoolId::new(request.user_pool_id()), ClientId::new(request.client_id()));
    let found = app.store.read(&pool_id, Some(&client_id), Wanted::default()).await?;
    let client = found.client.ok_or_else(|| Error::no_such_client(&client_id))?;
    Ok(DescribeUserPoolClientResponse { user_pool_client: Some(shapes::user_pool_client(&found.pool, &client.state)?) })
}
