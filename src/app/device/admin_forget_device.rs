//! AdminForgetDevice.

use crate::app::caller::Caller;
use crate::app::device::named_device::users_device;
use crate::app::{App, Failure};
use crate::domain::device::forget_device as rules;
use crate::proto::v1::{AdminForgetDeviceRequest, AdminForgetDeviceResponse};
use crate::store::commit::{Commit, UserDevice};

/// Forgets a device of a user, and ends the sessions that were begun with it.
pub async fn admin_forget_device(
    app: &App,
    caller: &Caller,
    request: &AdminForgetDeviceRequest,
) -> Result<AdminForgetDeviceResponse, Failure> {
    let named = users_device(app, caller, request.user_pool_id(), request.username(), request.device_key()).await?;
    let device = &named.used.device;
    let commit = Commit::about(&named.pool, &named.origin, app.clock.now());
    let decided = commit.decided(&UserDevice::known(device, &named.user), rules::forget_device(&device.state));
    app.store.settle(decided.map(|()| AdminForgetDeviceResponse {})).await
}
