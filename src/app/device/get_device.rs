//! GetDevice.

use crate::app::caller::Caller;
use crate::app::device::named_device::own_device;
use crate::app::device::shown::shown;
use crate::app::{App, Failure};
use crate::proto::v1::{GetDeviceRequest, GetDeviceResponse};

/// Shows a device of the access token's user.
pub async fn get_device(app: &App, caller: &Caller, request: &GetDeviceRequest) -> Result<GetDeviceResponse, Failure> {
    let named = own_device(app, caller, request.access_token(), request.device_key()).await?;
    Ok(GetDeviceResponse { device: Some(shown(&named.pool, &named.user, &named.used)?) })
}
