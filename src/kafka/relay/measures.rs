//! What an operator sees of the relay.

use std::time::{Duration, Instant};

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::domain::time::Timestamp;
use crate::environment::Clock;
use crate::store::Store;
use crate::store::feed::Log;

const PUBLISHED: &str = "userpool_relay_published_total";
const LAG: &str = "userpool_relay_lag_seconds";
const ERRORS: &str = "userpool_relay_errors_total";
const STUCK: &str = "userpool_relay_stuck";
const OLDEST_WRITER: &str = "userpool_feed_oldest_writer_seconds";

const ASK_FOR_WRITERS: Duration = Duration::from_secs(1);
const WARN_OF_WRITERS: Duration = Duration::from_secs(10);
/// No command's transaction takes so long.
const OLD_WRITER_SECONDS: f64 = 5.0;

/// Says what the metrics mean.
pub(super) fn describe() {
    describe_counter!(PUBLISHED, "Events that this replica published");
    describe_gauge!(LAG, "Age of the oldest event that is not published; 0 on replicas that do not relay");
    describe_counter!(ERRORS, "How often the relay began again, or found an event that it can't publish");
    describe_gauge!(STUCK, "1 while a log stands still at an event that can't be published");
    describe_gauge!(
        OLDEST_WRITER,
        "Age of the oldest writing transaction of the database cluster: no younger event is relayed"
    );
    for log in Log::ALL {
        stuck(log, false);
    }
    forget_lag();
    counter!(ERRORS).increment(0);
}

pub(super) fn count_published(log: Log, events: usize) {
    counter!(PUBLISHED, "log" => log.name()).increment(events as u64);
}

pub(super) fn count_error() {
    counter!(ERRORS).increment(1);
}

pub(super) fn stuck(log: Log, is_stuck: bool) {
    gauge!(STUCK, "log" => log.name()).set(if is_stuck { 1.0 } else { 0.0 });
}

/// The lag of a log whose oldest event that is not published is so old.
pub(super) fn lag(log: Log, oldest: Option<Timestamp>) {
    let now = Clock.now();
    let millis = oldest.map_or(0, |at| now.0.saturating_sub(at.0).max(0));
    gauge!(LAG, "log" => log.name()).set(millis as f64 / 1000.0);
}

/// This replica does not relay: whoever does knows the lag.
pub(super) fn forget_lag() {
    for log in Log::ALL {
        lag(log, None);
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
        let (seconds, pid) = oldest.map_or((0.0, 0), |(seconds, pid)| (seconds.max(0.0), pid));
        gauge!(OLDEST_WRITER).set(seconds);
        if seconds > OLD_WRITER_SECONDS && is_over(self.warned, WARN_OF_WRITERS) {
            self.warned = Some(Instant::now());
            tracing::warn!(pid, seconds, "a long transaction of process {pid} holds all events up");
        }
    }
}

/// Whether something was so long ago.
pub(super) fn is_over(last: Option<Instant>, interval: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= interval)
}
