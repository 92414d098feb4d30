//! AdminUpdateDeviceStatus.

use crate::app::caller::Caller;
use crate::app::device::named_device::users_device;
use crate::app::{App, Failure};
use crate::domain::device::update_device_status as rules;
use crate::proto::v1::{AdminUpdateDeviceStatusRequest, AdminUpdateDeviceStatusResponse};
use crate::store::commit::{Commit, UserDevice};

/// Says whether a user's device is remembered.
pub async fn admin_update_device_status(
    app: &App,
    caller: &Caller,
    request: &AdminUpdateDeviceStatusRequest,
) -> Result<AdminUpdateDeviceStatusResponse, Failure> {
    let named = users_device(app, caller, request.user_pool_id(), request.username(), request.device_key()).await?;
    let device = &named.used.device;
    let decision = rules::update_device_status(&device.state, request.device_remembered_status.as_deref());
    let commit = Commit::about(&named.pool, &named.origin, app.clock.now());
    let decided = commit.decided(&UserDevice::known(device, &named.user), decision);
    app.store.settle(decided.map(|()| AdminUpdateDeviceStatusResponse {})).await
}
