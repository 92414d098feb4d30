//! What an operator sees of the relay.

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
/// No command's transaction takes so long.
const OLD_WRITER_SECONDS: f64 = 5.0;

/// Says what the metrics mean.
pub(super) fn describe() {
    describe_counter!(PUBLISHED, "Events that this replica published");
    describe_gauge!(LAG, "Age of the oldest event that is not published; 0 on replicas that do not relay");
    describe_counter!(ERRORS, "How often the relay began again");
    describe_gauge!(
        PARKED,
        "Events that can't be published, and those that follow them under their keys; 0 on replicas that do not relay"
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

/// So many events of a log are parked.
pub(super) fn parked(log: Log, events: u64) {
    gauge!(PARKED, "log" => log.name()).set(events as f64);
}

/// The lag of a log whose oldest event that is not published is so old.
pub(super) fn lag(log: Log, oldest: Option<Timestamp>) {
    let now = Clock.now();
    let millis = oldest.map_or(0, |at| now.0.saturating_sub(at.0).max(0));
    gauge!(LAG, "log" => log.name()).set(millis as f64 / 1000.0);
}

/// This replica does not relay: whoever does knows what waits.
pub(super) fn forget() {
    for log in Log::ALL {
        lag(log, None);
        parked(log, 0);
    }
}

/// Watches for transactions that hold the feed up.
#[derive(Debug, Default)]
pub(super) struct Writers {
    asked: Option<Instant>,
    warned: Option<Instant>,
}

impl Writers {
    /// Looks at the oldest writer, once a second at most.
    pub(super) async fn observe(&mut self, store: &Store) {
        if !is_over(self.asked, ASK_FOR_WRITERS) {
            return;
        }
        self.asked = Some(Instant::now());
        let oldest = match store.oldest_writer().await {
            Ok(oldest) => oldest,
            Err(error) => {
                tracing::debug!(%error, "the oldest writer is not known");
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

/// As a number: what is not known is none, and least of all 0.
fn age(oldest: &OldestWriter) -> f64 {
    match oldest {
        OldestWriter::None => 0.0,
        OldestWriter::Known { seconds, .. } => seconds.max(0.0),
        OldestWriter::Unknown => f64::NAN,
    }
}

/// Whether something was so long ago.
pub(super) fn is_over(last: Option<Instant>, interval: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_that_is_not_known_is_no_number() {
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
