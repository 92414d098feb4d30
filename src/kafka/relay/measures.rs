//! The metrics of the relay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::domain::time::Timestamp;
use crate::environment::Clock;
use crate::store::Store;
use crate::store::feed::Log;
use crate::store::writers::OldestWriter;
use crate::telemetry::metrics;

const ASK_FOR_WRITERS: Duration = Duration::from_secs(1);
const WARN_OF_WRITERS: Duration = Duration::from_secs(10);
/// Longer than the transaction of any command.
const OLD_WRITER_SECONDS: f64 = 5.0;

/// The age of the oldest writer in seconds, as the bits of a number; NaN while it is unknown.
static OLDEST_WRITER: AtomicU64 = AtomicU64::new(f64::NAN.to_bits());

pub(super) fn count_published(log: Log, events: usize) {
    metrics::RELAY_PUBLISHED.add(events as u64, [log.name()]);
}

pub(super) fn count_error() {
    metrics::RELAY_ERRORS.add(1, []);
}

/// Sets the number of parked events of a log.
pub(super) fn parked(log: Log, events: u64) {
    metrics::RELAY_PARKED.set(events as f64, [log.name()]);
}

/// Sets the lag of a log, by the time of its oldest unpublished event.
pub(super) fn lag(log: Log, oldest: Option<Timestamp>) {
    let now = Clock.now();
    let millis = oldest.map_or(0, |at| now.0.saturating_sub(at.0).max(0));
    metrics::RELAY_LAG.set(millis as f64 / 1000.0, [log.name()]);
}

/// Shows the metrics of a replica that does not relay yet.
pub(super) fn begin() {
    metrics::FEED_OLDEST_WRITER.by(|| {
        let seconds = f64::from_bits(OLDEST_WRITER.load(Ordering::Relaxed));
        if seconds.is_nan() { Vec::new() } else { vec![(seconds, [])] }
    });
    forget();
}

/// Resets the metrics, because this replica does not relay; the replica that does reports them.
pub(super) fn forget() {
    OLDEST_WRITER.store(f64::NAN.to_bits(), Ordering::Relaxed);
    for log in Log::ALL {
        lag(log, None);
        parked(log, 0);
    }
}

/// Watches for transactions that block the feed.
#[derive(Debug, Default)]
pub(super) struct Writers {
    asked: Option<Instant>,
    warned: Option<Instant>,
}

impl Writers {
    /// Checks the oldest writing transaction, once a second at most.
    pub(super) async fn observe(&mut self, store: &Store) {
        if !is_over(self.asked, ASK_FOR_WRITERS) {
            return;
        }
        self.asked = Some(Instant::now());
        let oldest = match store.oldest_writer().await {
            Ok(oldest) => oldest,
            Err(error) => {
                tracing::debug!(%error, "the oldest writer is unknown");
                return;
            }
        };
        OLDEST_WRITER.store(age(&oldest).to_bits(), Ordering::Relaxed);
        if let OldestWriter::Known { seconds, whose } = oldest
            && seconds > OLD_WRITER_SECONDS
            && is_over(self.warned, WARN_OF_WRITERS)
        {
            self.warned = Some(Instant::now());
            tracing::warn!(seconds, whose, "a long transaction holds all events up");
        }
    }
}

/// The age in seconds. An unknown age is NaN, not 0, and is not shown.
fn age(oldest: &OldestWriter) -> f64 {
    match oldest {
        OldestWriter::None => 0.0,
        OldestWriter::Known { seconds, .. } => seconds.max(0.0),
        OldestWriter::Unknown => f64::NAN,
    }
}

/// Whether the last time is at least this long ago.
pub(super) fn is_over(last: Option<Instant>, interval: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_age_is_not_a_number() {
        assert!(age(&OldestWriter::Unknown).is_nan());
        assert_eq!(age(&OldestWriter::None), 0.0);
        assert_eq!(age(&OldestWriter::Known { seconds: 7.5, whose: String::new() }), 7.5);
        assert_eq!(
            age(&OldestWriter::Known { seconds: -0.001, whose: String::new() }),
            0.0,
            "two clocks of one moment"
        );
    }
}
