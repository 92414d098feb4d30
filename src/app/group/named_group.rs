//! The group that a caller names, alone or with a user.

use std::sync::Arc;

use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::store::cache::PoolView;
use crate::store::loaded::{LoadedGroup, LoadedUser};
use crate::store::read::{Snapshot, Wanted};

/// Finds a group of a pool.
pub async fn named_group(app: &App, pool_id: &str, name: &str) -> Result<(Arc<PoolView>, LoadedGroup), Failure> {
    let found =
        app.store.read(&UserPoolId::new(pool_id), None, Wanted { group: Some(name), ..Wanted::default() }).await?;
    let group = found.group.ok_or_else(Error::no_such_group)?;
    Ok((found.pool, group))
}

/// Finds a group of a pool, and a user of it by name, alias or `sub`.
pub async fn named_group_and_user(
    app: &App,
    pool_id: &str,
    group: &str,
    username: &str,
) -> Result<(Snapshot, LoadedGroup, LoadedUser), Failure> {
    let pool_id = UserPoolId::new(pool_id);
    let name = app.store.pool_hint(&pool_id).await?.name_rules.normalise(username);
    let wanted = Wanted { name: Some(&name), group: Some(group), groups: true, ..Wanted::default() };
    let found = app.store.read(&pool_id, None, wanted).await?;
    let user = found.user.clone().ok_or_else(Error::no_such_user)?;
    let group = found.group.clone().ok_or_else(Error::no_such_group)?;
    Ok((found, group, user))
}
