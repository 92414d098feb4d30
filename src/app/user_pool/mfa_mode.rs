//! What a pool may demand while an upgrade is not finished.

use crate::app::App;
use crate::domain::error::Error;

/// The level of events since which servers know second factors.
const LEVEL: i32 = 2;

/// Refuses to require second factors as long as servers may run that would give tokens without one.
pub async fn may_be(app: &App, mode: Option<&str>) -> Result<(), Error> {
    if mode == Some("ON") && !app.store.allows_events_of(LEVEL).await? {
        return Err(Error::upgrade_unfinished());
    }
    Ok(())
}
