//! AdminGetDevice.

use crate::app::caller::Caller;
use crate::app::device::named_device::users_device;
use crate::app::device::shown::shown;
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::proto::v1::{AdminGetDeviceRequest, AdminGetDeviceResponse};

/// Shows a device of a user.
pub async fn admin_get_device(
    app: &App,
    caller: &Caller,
    request: &AdminGetDeviceRequest,
) -> Result<AdminGetDeviceResponse, Failure> {
    let named = users_device(app, caller, request.user_pool_id(), request.username(), request.device_key()).await;
    let named = named.map_err(|failure| failure.map_refusal(Error::of_missing_user))?;
    Ok(AdminGetDeviceResponse { device: Some(shown(&named.pool, &named.user, &named.used)?) })
}
