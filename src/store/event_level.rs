//! Up to which level events may be written.
//!
//! An event may have a type, a field or a value of an enumeration that servers of the release before can't read: it then
//! needs a higher level (`since` in the protos). Such an event is refused until `userpool finish-upgrade` has raised the
//! level of the database.
//!
//! The level in memory is what the database said last, so that commands need no statement for it. It can be too low,
//! because another process has raised the database's since; so nothing is refused before the database is asked again. It
//! can't be too high, because no statement lowers the database's level.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::proto::NEWEST_LEVEL;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::telemetry::metrics;

/// How often to ask whether an upgrade is finished.
const ASK: Duration = Duration::from_secs(5);

/// The level of the database as this process knows it; 0 until it has asked.
#[derive(Debug, Default)]
pub(crate) struct EventLevel {
    known: AtomicI32,
    /// Whether the log says already that events are refused.
    told: AtomicBool,
}

impl EventLevel {
    /// Takes what the database said, lower or higher: a restored database may have a lower level than before.
    pub(in crate::store) fn learn(&self, level: i32) {
        if self.known.swap(level, Ordering::SeqCst) < level {
            self.told.store(false, Ordering::SeqCst);
        }
    }

    fn allows(&self, level: i32) -> bool {
        level <= self.known.load(Ordering::SeqCst)
    }
}

/// An event that is to be written, with the level that it needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Needed {
    /// The type of the event.
    pub kind: &'static str,
    /// The level that the event needs.
    pub level: i32,
}

impl Store {
    /// Whether events of a level may be written, as far as this process knows. An operation that exists in the release
    /// before asks this, and does without what is new in its events while the answer is no.
    pub fn may_write_events_of(&self, level: i32) -> bool {
        self.event_level.allows(level)
    }

    /// The same for an operation that would be refused, so the database is asked before the answer is no.
    pub async fn allows_events_of(&self, level: i32) -> Result<bool, StoreError> {
        Ok(self.may_write_events_of(level) || level <= self.read_event_level().await?)
    }

    /// While the upgrade to this release is not finished, asks now and then whether it is.
    pub async fn await_end_of_upgrade(self, stop: CancellationToken) {
        while !self.may_write_events_of(NEWEST_LEVEL) && tokio::time::timeout(ASK, stop.cancelled()).await.is_err() {
            match self.read_event_level().await {
                Ok(level) if level >= NEWEST_LEVEL => tracing::info!(level, "the upgrade is finished"),
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "whether the upgrade is finished can't be read"),
            }
        }
    }

    async fn read_event_level(&self) -> Result<i32, StoreError> {
        let level = sqlx::query_scalar("select event_level from meta").fetch_one(&self.database).await?;
        self.event_level.learn(level);
        Ok(level)
    }

    /// Refuses events whose level is above that of the database.
    pub(in crate::store) async fn admit(&self, events: impl IntoIterator<Item = Needed>) -> Result<(), StoreError> {
        let highest = events.into_iter().max_by_key(|event| event.level);
        match highest.filter(|event| !self.event_level.allows(event.level)) {
            None => Ok(()),
            Some(event) => self.ask_for(event).await,
        }
    }

    /// Asks the database whether an event may be written that what is known does not allow.
    async fn ask_for(&self, event: Needed) -> Result<(), StoreError> {
        let level = self.read_event_level().await?;
        if event.level <= level {
            return Ok(());
        }
        let Needed { kind, level: needed } = event;
        metrics::EVENTS_REFUSED.add(1, [kind]);
        if !self.event_level.told.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                kind,
                needed,
                level,
                "an event is refused, and so are others above this level until `userpool finish-upgrade`"
            );
        }
        Err(StoreError::UpgradeUnfinished { kind, needed, level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_before_the_database_was_asked_and_then_what_it_said_last() {
        let level = EventLevel::default();
        assert!(!level.allows(1));
        level.learn(2);
        assert!(level.allows(1) && level.allows(2) && !level.allows(3));
        level.learn(1);
        assert!(level.allows(1) && !level.allows(2), "a restored database");
    }

    #[test]
    fn refusals_are_told_again_after_a_higher_level() {
        let level = EventLevel::default();
        level.told.store(true, Ordering::SeqCst);
        level.learn(2);
        assert!(!level.told.swap(true, Ordering::SeqCst));
        level.learn(2);
        level.learn(1);
        assert!(level.told.load(Ordering::SeqCst));
    }
}
