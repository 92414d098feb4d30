//! The device that a caller names: one of their own, or one of a user whom an administrator names.

use std::sync::Arc;

use crate::app::admin_user::named_user::named_user_with;
use crate::app::caller::Caller;
use crate::app::user::signed_in::{signed_in_with, verified};
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::{DeviceId, UserPoolId};
use crate::store::cache::PoolView;
use crate::store::loaded::{LoadedUser, UsedDevice};
use crate::store::metadata::Origin;
use crate::store::read::Wanted;

/// A device with its user.
pub struct NamedDevice {
    /// The pool that the user is in.
    pub pool: Arc<PoolView>,
    /// The user whose device it is.
    pub user: LoadedUser,
    /// The device, with its last sign-in.
    pub used: UsedDevice,
    /// The caller, for what is written about the device.
    pub origin: Origin,
}

/// Finds a device of an access token's user.
pub async fn own_device(app: &App, caller: &Caller, token: &str, key: &str) -> Result<NamedDevice, Failure> {
    let token = verified(app, token).await?;
    let wanted = Wanted { device: DeviceId::of_key(&token.pool_id, key), ..Wanted::default() };
    let signed_in = signed_in_with(app, &token, wanted).await?;
    let origin = signed_in.origin(caller);
    let used = of_user(signed_in.device, &signed_in.user)?;
    Ok(NamedDevice { pool: signed_in.pool, user: signed_in.user, used, origin })
}

/// Finds a device of a user whom an administrator names.
pub async fn users_device(
    app: &App,
    caller: &Caller,
    pool_id: &str,
    username: &str,
    key: &str,
) -> Result<NamedDevice, Failure> {
    let wanted = Wanted { device: DeviceId::of_key(&UserPoolId::new(pool_id), key), ..Wanted::default() };
    let named = named_user_with(app, pool_id, username, wanted).await?;
    let used = of_user(named.device, &named.user)?;
    Ok(NamedDevice { pool: named.pool, user: named.user, used, origin: caller.developer_origin() })
}

/// Another user's device is answered like one that does not exist.
fn of_user(device: Option<UsedDevice>, user: &LoadedUser) -> Result<UsedDevice, Error> {
    device.filter(|used| used.device.state.sub == user.state.sub).ok_or_else(Error::no_such_device)
}
