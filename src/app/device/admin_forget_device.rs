//! AdminForgetDevice.

use crate::app::caller::Caller;
use crate::app::device::forgetting::forget;
use crate::app::device::named_device::users_device;
use crate::app::{App, Failure};
use crate::proto::v1::{AdminForgetDeviceRequest, AdminForgetDeviceResponse};

/// Forgets a device of a user, and ends the sessions that were begun with it.
pub async fn admin_forget_device(
    app: &App,
    caller: &Caller,
    request: &AdminForgetDeviceRequest,
) -> Result<AdminForgetDeviceResponse, Failure> {
    let named = users_device(app, caller, request.user_pool_id(), request.username(), request.device_key()).await?;
    forget(app, &named, AdminForgetDeviceResponse {}).await
}
