//! ListDevices.

use crate::app::caller::Caller;
use crate::app::device::listed::{Asked, listed};
use crate::app::user::signed_in::signed_in;
use crate::app::{App, Failure};
use crate::proto::v1::{ListDevicesRequest, ListDevicesResponse};

/// Lists the devices of the access token's user, in the order of their keys.
pub async fn list_devices(app: &App, _: &Caller, request: &ListDevicesRequest) -> Result<ListDevicesResponse, Failure> {
    let signed_in = signed_in(app, request.access_token()).await?;
    let asked = Asked { operation: "ListDevices", limit: request.limit, token: request.pagination_token.as_deref() };
    let (devices, pagination_token) = listed(app, &signed_in.pool, &signed_in.user, asked).await?;
    Ok(ListDevicesResponse { devices, pagination_token })
}
