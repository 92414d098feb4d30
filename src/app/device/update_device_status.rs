//! UpdateDeviceStatus.

use crate::app::caller::Caller;
use crate::app::device::named_device::own_device;
use crate::app::{App, Failure};
use crate::domain::device::update_device_status as rules;
use crate::proto::v1::{UpdateDeviceStatusRequest, UpdateDeviceStatusResponse};
use crate::store::commit::{Commit, UserDevice};

/// Says whether a device of the access token's user is remembered.
pub async fn update_device_status(
    app: &App,
    caller: &Caller,
    request: &UpdateDeviceStatusRequest,
) -> Result<UpdateDeviceStatusResponse, Failure> {
    let named = own_device(app, caller, request.access_token(), request.device_key()).await?;
    let device = &named.used.device;
    let decision = rules::update_device_status(&device.state, request.device_remembered_status.as_deref());
    let commit = Commit::about(&named.pool, &named.origin, app.clock.now());
    let decided = commit.decided(&UserDevice::known(device, &named.user), decision);
    app.store.settle(decided.map(|()| UpdateDeviceStatusResponse {})).await
}
