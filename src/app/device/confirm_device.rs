//! ConfirmDevice.

use crate::app::caller::Caller;
use crate::app::device::forgetting::revocations;
use crate::app::device::sealed::Vault;
use crate::app::user::signed_in::{SignedIn, signed_in_with, verified};
use crate::app::{App, Failure};
use crate::domain::auth::device_secret::DeviceSecret;
use crate::domain::device::confirm_device as rules;
use crate::domain::device::forget_device::forget_device;
use crate::domain::device::giving_way::{Standing, giving_way};
use crate::domain::error::Error;
use crate::domain::ids::DeviceId;
use crate::domain::time::Timestamp;
use crate::proto::v1::{ConfirmDeviceRequest, ConfirmDeviceResponse};
use crate::store::commit::{Commit, OperationalRow, UserDevice};
use crate::store::loaded::UsedDevice;
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
    let (at, most) = (app.clock.now(), app.settings.counts.devices_per_user);
    let used = OperationalRow::DeviceUsed {
        sub: signed_in.user.state.sub,
        device: id,
        version: None,
        address: caller.address.map(|address| vault.seal_address(app, address)),
    };
    let mut commit = Commit::about(&signed_in.pool, &signed_in.origin(caller), at)
        .decided_from(&signed_in.pool, None)
        .decided_about(&signed_in.user)
        .operational([used, OperationalRow::DevicesBounded { sub: signed_in.user.state.sub, most }]);
    if decision.accepted().is_some() {
        commit = make_room(app, &signed_in, commit, most, at).await?;
    }
    let device = UserDevice { id, known: None, key: &signed_in.user.key };
    let answer = |necessary| ConfirmDeviceResponse { user_confirmation_necessary: Some(necessary) };
    app.store.settle(commit.decided(&device, decision).map(answer)).await
}

/// Forgets the devices of the user that are beyond the limit with the new one.
async fn make_room(
    app: &App,
    SignedIn { pool, user, .. }: &SignedIn,
    mut commit: Commit,
    most: u32,
    at: Timestamp,
) -> Result<Commit, Failure> {
    let devices = app.store.list_devices(&pool.id, user.state.sub, None, i64::MAX).await?;
    let standing: Vec<_> = devices
        .iter()
        .map(|used| Standing { device: &used.device.state, used_at: used.last_use.as_ref().map(|last| last.at) })
        .collect();
    let leaving = giving_way(&standing, most);
    for UsedDevice { device, .. } in devices.iter().filter(|used| leaving.contains(&used.device.state.id)) {
        let facts = revocations(app, &pool.id, user, device.state.id, at).await?;
        commit = commit.device(&UserDevice::known(device, user), forget_device(&device.state)).facts(user, facts);
    }
    Ok(commit)
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
