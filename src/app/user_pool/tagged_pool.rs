//! The first step of the operations on tags: reads the pool that an ARN names.

use std::sync::Arc;

use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::{UserPoolArn, UserPoolId};
use crate::store::cache::PoolView;
use crate::store::read::Wanted;

/// Reads the pool of an ARN, whose account and region must be the pool's own.
pub async fn tagged_pool(app: &App, arn: &str) -> Result<Arc<PoolView>, Failure> {
    let parsed = UserPoolArn::parse(arn)
        .ok_or_else(|| Error::invalid_parameter(format!("{arn} is not the ARN of a user pool.")))?;
    let id = UserPoolId::new(parsed.pool_id);
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let own = (pool.state.region.as_str(), pool.state.account_id.as_str());
    if own == (parsed.region, parsed.account_id) { Ok(pool) } else { Err(Error::no_such_pool(id).into()) }
}
