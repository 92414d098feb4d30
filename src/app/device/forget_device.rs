//! ForgetDevice.

use crate::app::caller::Caller;
use crate::app::device::forgetting::forget;
use crate::app::device::named_device::own_device;
use crate::app::{App, Failure};
use crate::proto::v1::{ForgetDeviceRequest, ForgetDeviceResponse};

/// Forgets a device of the access token's user, and ends the sessions that were begun with it.
pub async fn forget_device(
    app: &App,
    caller: &Caller,
    request: &ForgetDeviceRequest,
) -> Result<ForgetDeviceResponse, Failure> {
    let named = own_device(app, caller, request.access_token(), request.device_key()).await?;
    forget(app, &named, ForgetDeviceResponse {}).await
}
