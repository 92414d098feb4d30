//! ForgetDevice.

use crate::app::caller::Caller;
use crate::app::device::named_device::own_device;
use crate::app::{App, Failure};
use crate::domain::device::forget_device as rules;
use crate::proto::v1::{ForgetDeviceRequest, ForgetDeviceResponse};
use crate::store::commit::{Commit, UserDevice};

/// Forgets a device of the access token's user, and ends the sessions that were begun with it.
pub async fn forget_device(
    app: &App,
    caller: &Caller,
    request: &ForgetDeviceRequest,
) -> Result<ForgetDeviceResponse, Failure> {
    let named = own_device(app, caller, request.access_token(), request.device_key()).await?;
    let device = &named.used.device;
    let commit = Commit::about(&named.pool, &named.origin, app.clock.now());
    let decided = commit.decided(&UserDevice::known(device, &named.user), rules::forget_device(&device.state));
    app.store.settle(decided.map(|()| ForgetDeviceResponse {})).await
}
