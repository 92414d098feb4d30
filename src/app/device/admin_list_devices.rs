//! AdminListDevices.

use crate::app::admin_user::named_user::named_user;
use crate::app::caller::Caller;
use crate::app::device::listed::{Asked, listed};
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::proto::v1::{AdminListDevicesRequest, AdminListDevicesResponse};

/// Lists the devices of a user, in the order of their keys.
pub async fn admin_list_devices(
    app: &App,
    _: &Caller,
    request: &AdminListDevicesRequest,
) -> Result<AdminListDevicesResponse, Failure> {
    let named = named_user(app, request.user_pool_id(), request.username()).await;
    let (pool, user) = named.map_err(|failure| failure.map_refusal(Error::of_missing_user))?;
    let asked =
        Asked { operation: "AdminListDevices", limit: request.limit, token: request.pagination_token.as_deref() };
    let (devices, pagination_token) = listed(app, &pool, &user, asked).await?;
    Ok(AdminListDevicesResponse { devices, pagination_token })
}
