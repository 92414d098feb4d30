//! The end of a user, which is also that of their devices.

use crate::app::{App, Failure};
use crate::domain::decision::Decision;
use crate::domain::device::forget_device::forget_device;
use crate::domain::user::delete_user as rules;
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::store::cache::PoolView;
use crate::store::commit::{Commit, UserDevice};
use crate::store::loaded::LoadedUser;
use crate::store::metadata::Origin;

/// The commit and the decision to delete a user. The user's key is destroyed, so that none of its personal data can be
/// read.
pub async fn deletion(
    app: &App,
    pool: &PoolView,
    user: &LoadedUser,
    origin: &Origin,
) -> Result<(Commit, Decision<Event, Activity, ()>), Failure> {
    let mut commit = Commit::about(pool, origin, app.clock.now());
    for device in app.store.devices_of(&pool.id, user.state.sub).await? {
        commit = commit.device(&UserDevice::known(&device, user), forget_device(&device.state));
    }
    Ok((commit, rules::delete_user(&user.state)))
}
