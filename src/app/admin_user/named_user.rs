//! The user whom an administrator names: by user name, alias or `sub`.

use std::sync::Arc;

use crate::app::App;
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::store::cache::PoolView;
use crate::store::commit::LoadedUser;
use crate::store::read::Wanted;

/// Finds the user of a pool, or says openly that there is none.
pub async fn named_user(app: &App, pool_id: &str, username: &str) -> Result<(Arc<PoolView>, LoadedUser), Error> {
    let pool_id = UserPoolId::new(pool_id);
    let name = app.store.pool_hint(&pool_id).await?.name_rules.normalise(username);
    let found = app.store.read(&pool_id, None, Wanted { name: Some(&name), ..Wanted::default() }).await?;
    let user = found.user.ok_or_else(Error::no_such_user)?;
    Ok((found.pool, user))
}
