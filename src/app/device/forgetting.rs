//! What is written about a device that is forgotten: its end, and that of the sessions that were begun with it.

use crate::app::device::named_device::NamedDevice;
use crate::app::{App, Failure};
use crate::domain::device::forget_device as rules;
use crate::domain::ids::{DeviceId, UserPoolId};
use crate::domain::time::Timestamp;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::{TokenRevocation, UserTokensRevoked};
use crate::store::commit::{Commit, UserDevice};
use crate::store::error::StoreError;
use crate::store::loaded::LoadedUser;

/// Forgets a device that a caller names, and ends the sessions that were begun with it.
pub(super) async fn forget<Response: prost::Message>(
    app: &App,
    named: &NamedDevice,
    response: Response,
) -> Result<Response, Failure> {
    let (device, user, at) = (&named.used.device, &named.user, app.clock.now());
    let facts = revocations(app, &named.pool.id, user, device.state.id, at).await?;
    let commit = Commit::about(&named.pool, &named.origin, at).facts(user, facts);
    let decided = commit.decided(&UserDevice::known(device, user), rules::forget_device(&device.state));
    app.store.settle(decided.map(|()| response)).await
}

/// The facts that the living sessions of a device end with it. A session that begins in this very moment ends as well, and
/// may have none.
pub(super) async fn revocations(
    app: &App,
    pool: &UserPoolId,
    user: &LoadedUser,
    device: DeviceId,
    at: Timestamp,
) -> Result<Vec<Activity>, StoreError> {
    let sessions = app.store.sessions_of_device(pool, device, user.state.token_generation, at).await?;
    let fact = |(session, client_id)| UserTokensRevoked {
        client_id,
        session_id: uuid::Uuid::to_string(&session),
        reason: TokenRevocation::DeviceForgotten.into(),
    };
    Ok(sessions.into_iter().map(fact).map(Activity::TokensRevoked).collect())
}
