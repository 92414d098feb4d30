//! The user that an administrator names: by user name, alias or `sub`.

use std::sync::Arc;

use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::user::codes::SentCode;
use crate::store::cache::PoolView;
use crate::store::loaded::{LoadedUser, UsedDevice};
use crate::store::read::Wanted;

/// A user that an administrator named.
pub struct NamedUser {
    /// The pool that the request names.
    pub pool: Arc<PoolView>,
    /// The user with that name, alias or `sub`.
    pub user: LoadedUser,
    /// The user's code for the purpose in `Wanted`, if there is one.
    pub code: Option<SentCode>,
    /// The device in `Wanted`, if it exists, whoever it belongs to.
    pub device: Option<UsedDevice>,
}

/// Finds the user of a pool, or answers that there is none.
pub async fn named_user(app: &App, pool_id: &str, username: &str) -> Result<(Arc<PoolView>, LoadedUser), Failure> {
    let named = named_user_with(app, pool_id, username, Wanted::default()).await?;
    Ok((named.pool, named.user))
}

/// The same, with whatever else `wanted` asks to read.
pub async fn named_user_with(
    app: &App,
    pool_id: &str,
    username: &str,
    wanted: Wanted<'_>,
) -> Result<NamedUser, Failure> {
    let pool_id = UserPoolId::new(pool_id);
    let name = app.store.pool_hint(&pool_id).await?.name_rules.normalise(username);
    let found = app.store.read(&pool_id, None, Wanted { name: Some(&name), ..wanted }).await?;
    let user = found.user.ok_or_else(Error::no_such_user)?;
    Ok(NamedUser { pool: found.pool, user, code: found.code, device: found.device })
}
