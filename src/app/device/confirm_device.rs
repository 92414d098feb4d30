//! ConfirmDevice.

use crate::app::caller::Caller;
use crate::app::device::sealed::Vault;
use crate::app::user::signed_in::{SignedIn, signed_in_with, verified};
use crate::app::{App, Failure};
use crate::domain::auth::device_secret::DeviceSecret;
use crate::domain::device::confirm_device as rules;
use crate::domain::error::Error;
use crate::domain::ids::DeviceId;
use crate::proto::v1::{ConfirmDeviceRequest, ConfirmDeviceResponse};
use crate::store::commit::{Commit, OperationalRow, UserDevice};
use crate::store::read::Wanted;

/// Confirms the device whose key the sign-in of the access token gave out. From now on it is known, and with its own
/// password it can prove itself.
pub async fn confirm_device(
    app: &App,
    caller: &Caller,
    request: &ConfirmDeviceRequest,
) -> Result<ConfirmDeviceResponse, Failure> {
    let token = verified(app, request.access_token()).await?;
    let named = DeviceId::of_key(&token.pool_id, request.device_key());
    let signed_in = signed_in_with(app, &token, Wanted { device: named, ..Wanted::default() }).await?;
    // A key that is none is refused below, so its values are sealed for no device.
    let id = named.unwrap_or(DeviceId(uuid::Uuid::nil()));
    let vault = Vault { pool: &signed_in.pool.id, device: id, key: &signed_in.user.key };
    let command = command(app, request, &signed_in, named, vault)?;
    let decision = rules::confirm_device(&signed_in.pool.state, command);
    let used = OperationalRow::DeviceUsed {
        sub: signed_in.user.state.sub,
        device: id,
        version: None,
        address: caller.address.map(|address| vault.seal_address(app, address)),
    };
    let commit = Commit::about(&signed_in.pool, &signed_in.origin(caller), app.clock.now())
        .decided_from(&signed_in.pool, None)
        .decided_about(&signed_in.user)
        .operational([used]);
    let device = UserDevice { id, known: None, key: &signed_in.user.key };
    let answer = |necessary| ConfirmDeviceResponse { user_confirmation_necessary: Some(necessary) };
    app.store.settle(commit.decided(&device, decision).map(answer)).await
}

fn command<'a>(
    app: &App,
    request: &ConfirmDeviceRequest,
    signed_in: &'a SignedIn,
    named: Option<DeviceId>,
    vault: Vault<'_>,
) -> Result<rules::ConfirmDevice<'a>, Error> {
    let secret = request.device_secret_verifier_config.as_ref().map(DeviceSecret::parse).transpose()?;
    Ok(rules::ConfirmDevice {
        named,
        of_session: signed_in.session_device,
        existing: signed_in.device.as_ref().map(|used| &used.device.state),
        sub: signed_in.user.state.sub,
        name: request.device_name.as_deref().map(|name| vault.seal_name(app, name)),
        srp_verifier: secret.map(|secret| vault.seal_secret(app, &secret)).transpose()?,
    })
}
