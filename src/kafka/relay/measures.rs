//! The metrics of the relay.

use std::time::{Duration, Instant};

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::domain::time::Timestamp;
use crate::environment::Clock;
use crate::store::Store;
use crate::store::feed::Log;
use crate::store::writers::OldestWriter;

const PUBLISHED: &str = "userpool_relay_published_total";
const LAG: &str = "userpool_relay_lag_seconds";
const ERRORS: &str = "userpool_relay_errors_total";
const PARKED: &str = "userpool_relay_parked";
const OLDEST_WRITER: &str = "userpool_feed_oldest_writer_seconds";

const ASK_FOR_WRITERS: Duration = Duration::from_secs(1);
const WARN_OF_WRITERS: Duration = Duration::from_secs(10);
/// Longer than the transaction of any command.
const OLD_WRITER_SECONDS: f64 = 5.0;

/// Registers the descriptions of the metrics.
pub(super) fn describe() {
    describe_counter!(PUBLISHED, "Events that this replica published");
    describe_gauge!(LAG, "Age of the oldest event that is not published; 0 on replicas that do not relay");
    describe_counter!(ERRORS, "Restarts of the relay after an error");
    describe_gauge!(
        PARKED,
        "Events that can't be published, and later events of their keys; 0 on replicas that do not relay"
    );
    describe_gauge!(
        OLDEST_WRITER,
        "Age of the oldest writing transaction of the database cluster: no younger event is relayed. NaN where the account is no member of pg_read_all_stats"
    );
    forget();
    counter!(ERRORS).increment(0);
}

pub(super) fn count_published(log: Log, events: usize) {
    counter!(PUBLISHED, "log" => log.name()).increment(events as u64);
}

pub(super) fn count_error() {
    counter!(ERRORS).increment(1);
}

/// Sets the number of parked events of a log.
pub(super) fn parked(log: Log, events: u64) {
    gauge!(PARKED, "log" => log.name()).set(events as f64);
}

/// Sets the lag of a log, by the time of its oldest unpublished event.
pub(super) fn lag(log: Log, oldest: Option<Timestamp>) {
    let now = Clock.now();
    let millis = oldest.map_or(0, |at| now.0.saturating_sub(at.0).max(0));
    gauge!(LAG, "log" => log.name()).set(millis as f64 / 1000.0);
}

/// Resets the metrics, because this replica does not relay; the replica that does reports them.
pub(super) fn forget() {
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
        gauge!(OLDEST_WRITER).set(age(&oldest));
        if let OldestWriter::Known { seconds, whose } = oldest
            && seconds > OLD_WRITER_SECONDS
            && is_over(self.warned, WARN_OF_WRITERS)
        {
            self.warned = Some(Instant::now());
            tracing::warn!(seconds, whose, "a long transaction holds all events up");
        }
    }
}

/// The age in seconds. An unknown age is NaN, not 0.
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
