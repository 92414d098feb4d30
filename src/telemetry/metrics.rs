//! Every metric of the server, declared once: name, unit, attributes and meaning.
//!
//! Names follow OpenTelemetry's conventions. Prometheus has the same names in its own spelling:
//! `userpool.relay.lag` in seconds is `userpool_relay_lag_seconds`, and a counter ends with `_total`.
//!
//! Before [`start`], and in commands that serve nothing, nothing is measured.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{self as instruments, Meter};

static METER: OnceLock<Meter> = OnceLock::new();

/// Upper bounds of the buckets of durations, in seconds: from a read of one row to a call that was given up.
const DURATIONS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Measures with this meter from now on. Only the first call counts.
pub fn start(meter: Meter) {
    if METER.set(meter).is_ok() {
        ALL.iter().for_each(|metric| metric.begin());
    }
}

/// What a metric is called and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The name in OpenTelemetry.
    pub name: &'static str,
    /// The unit in UCUM: `s`, or an annotation such as `{event}` for a number of things.
    pub unit: &'static str,
    /// The names of the attributes by which it is divided.
    pub attributes: &'static [&'static str],
    /// One sentence for `# HELP`.
    pub description: &'static str,
}

/// A metric of any kind.
pub trait Metric: Sync {
    /// What the metric is called, what divides it, and what it means.
    fn definition(&self) -> &Definition;
    /// `counter`, `gauge` or `histogram`, as Prometheus calls them.
    fn kind(&self) -> &'static str;
    /// Shows 0 for a counter without attributes, so that its first increase is seen as one.
    fn begin(&self) {}
}

/// The name of a metric in Prometheus.
pub fn prometheus_name(metric: &dyn Metric) -> String {
    let Definition { name, unit, .. } = metric.definition();
    let unit = if *unit == "s" { "_seconds" } else { "" };
    let total = if metric.kind() == "counter" { "_total" } else { "" };
    format!("{}{unit}{total}", name.replace('.', "_"))
}

/// Attributes of a measurement: the values, in the order of the declared names. An empty value is left out.
fn attributes(names: &'static [&'static str], values: &[&'static str]) -> Vec<KeyValue> {
    let named = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
    named.map(|(name, value)| KeyValue::new(*name, *value)).collect()
}

/// Defines a kind of metric that is measured by one call of its instrument.
macro_rules! kind {
    ($(#[$doc:meta])* $kind:ident($instrument:ty) |$meter:ident, $definition:ident| $build:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $kind<const N: usize> {
            definition: Definition,
            instrument: OnceLock<$instrument>,
        }

        impl<const N: usize> $kind<N> {
            const fn new(definition: Definition) -> Self {
                Self { definition, instrument: OnceLock::new() }
            }

            /// Absent while nothing is measured.
            fn instrument(&self) -> Option<&$instrument> {
                let $meter = METER.get()?;
                let $definition = &self.definition;
                Some(self.instrument.get_or_init(|| {
                    $build.with_unit($definition.unit).with_description($definition.description).build()
                }))
            }
        }
    };
}

kind! {
    /// Counts what happened since the process began.
    Counter(instruments::Counter<u64>) |meter, definition| meter.u64_counter(definition.name)
}

kind! {
    /// The last value of something.
    Gauge(instruments::Gauge<f64>) |meter, definition| meter.f64_gauge(definition.name)
}

kind! {
    /// Durations in seconds, in buckets.
    Histogram(instruments::Histogram<f64>) |meter, definition| {
        meter.f64_histogram(definition.name).with_boundaries(DURATIONS.to_vec())
    }
}

impl<const N: usize> Counter<N> {
    /// Counts `more` with these values of the attributes.
    pub fn add(&self, more: u64, values: [&'static str; N]) {
        if let Some(counter) = self.instrument() {
            counter.add(more, &attributes(self.definition.attributes, &values));
        }
    }
}

impl<const N: usize> Gauge<N> {
    /// Sets the value for these values of the attributes.
    pub fn set(&self, value: f64, values: [&'static str; N]) {
        if let Some(gauge) = self.instrument() {
            gauge.record(value, &attributes(self.definition.attributes, &values));
        }
    }
}

impl<const N: usize> Histogram<N> {
    /// Records a duration with these values of the attributes.
    pub fn record(&self, took: std::time::Duration, values: [&'static str; N]) {
        if let Some(histogram) = self.instrument() {
            histogram.record(took.as_secs_f64(), &attributes(self.definition.attributes, &values));
        }
    }
}

/// A gauge whose values are read when somebody looks.
#[derive(Debug)]
pub struct Observed<const N: usize> {
    definition: Definition,
}

impl<const N: usize> Observed<N> {
    const fn new(definition: Definition) -> Self {
        Self { definition }
    }

    /// Reads the values this way from now on: each with the values of its attributes.
    pub fn by(&'static self, read: impl Fn() -> Vec<(f64, [&'static str; N])> + Send + Sync + 'static) {
        let (Some(meter), definition) = (METER.get(), &self.definition) else { return };
        let gauge = meter.f64_observable_gauge(definition.name).with_unit(definition.unit);
        let gauge = gauge.with_description(definition.description).with_callback(move |observer| {
            for (value, values) in read() {
                observer.observe(value, &attributes(definition.attributes, &values));
            }
        });
        // The meter keeps the callback.
        let _gauge = gauge.build();
    }
}

impl<const N: usize> Metric for Counter<N> {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn kind(&self) -> &'static str {
        "counter"
    }

    fn begin(&self) {
        if let (0, Some(counter)) = (N, self.instrument()) {
            counter.add(0, &[]);
        }
    }
}

/// Kinds that begin without a value.
macro_rules! metric {
    ($($kind:ident: $prometheus:literal),*) => {$(
        impl<const N: usize> Metric for $kind<N> {
            fn definition(&self) -> &Definition {
                &self.definition
            }

            fn kind(&self) -> &'static str {
                $prometheus
            }
        }
    )*};
}

metric!(Gauge: "gauge", Histogram: "histogram", Observed: "gauge");

/// Declares the metrics and the list of all of them.
macro_rules! metrics {
    ($($static:ident: $kind:ident = $name:literal, $unit:literal, by [$($attribute:literal),*]: $description:literal;)*) => {
        $(
            #[doc = $description]
            pub static $static: $kind<{ <[&str]>::len(&[$($attribute),*]) }> = $kind::new(Definition {
                name: $name,
                unit: $unit,
                attributes: &[$($attribute),*],
                description: $description,
            });
        )*

        /// Every metric, in the order of the documentation.
        pub static ALL: &[&dyn Metric] = &[$(&$static),*];
    };
}

metrics! {
    // Calls.
    CALL_DURATION: Histogram = "rpc.server.call.duration", "s",
        by ["rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"]:
        "Time of a call from its headers to its answer; error.type is the exception, and absent if the call succeeded";
    UNDECLARED_EXCEPTIONS: Counter = "userpool.undeclared_exceptions", "{call}", by ["operation"]:
        "Calls that ended with an exception that the operation does not list: a fault of the server";
    UNKNOWN_MEMBERS: Counter = "userpool.unknown_members", "{member}", by []:
        "Members of JSON requests that this release does not know, and ignored";
    QUOTA_EXCEEDED: Counter = "userpool.quota.exceeded", "{call}", by ["category"]:
        "Calls that a quota refused";
    LIMITS_HIT: Counter = "userpool.limits.hit", "{call}", by ["limit"]:
        "Calls that a limit by address, network or user refused";

    // What callers use.
    CONNECTIONS: Observed = "userpool.connections", "{connection}", by ["door"]:
        "Open connections, those in their TLS handshake included";
    CONNECTIONS_REFUSED: Counter = "userpool.connections.refused", "{connection}", by []:
        "Connections that were closed at once, because there were too many";
    HANDSHAKES_GIVEN_UP: Counter = "userpool.handshakes.given_up", "{handshake}", by []:
        "TLS handshakes that were given up, because there were too many";
    CALLS_REFUSED: Counter = "userpool.calls.refused", "{call}", by []:
        "Calls that were refused before they were read, because there were too many";
    BODIES_REFUSED: Counter = "userpool.bodies.refused", "{call}", by []:
        "Calls whose body found no room in the memory for all bodies";

    // Hashing of passwords.
    HASHING_WAITING: Observed = "userpool.hashing.waiting", "{call}", by []:
        "Calls that wait for a thread for hashing";
    HASHING_WAIT: Histogram = "userpool.hashing.wait", "s", by []:
        "Time that a call waited for a thread for hashing";
    HASHING_DURATION: Histogram = "userpool.hashing.duration", "s", by []:
        "Time of one piece of work on a thread for hashing";
    HASHING_REFUSED: Counter = "userpool.hashing.refused", "{call}", by []:
        "Calls that were refused because they would have waited too long for a thread for hashing";

    // The database. The convention calls the first `db.client.connection.count`, which Prometheus would take for a part
    // of a histogram.
    DATABASE_CONNECTIONS: Observed = "db.client.connection.usage", "{connection}",
        by ["db.client.connection.pool.name", "db.client.connection.state"]:
        "Connections to the database";
    DATABASE_CONNECTIONS_MOST: Observed = "db.client.connection.max", "{connection}",
        by ["db.client.connection.pool.name"]:
        "The most connections to the database";
    DATABASE_WAITING: Observed = "db.client.connection.pending_requests", "{request}",
        by ["db.client.connection.pool.name"]:
        "Reads and commits that wait for a connection";
    COMMIT_DURATION: Histogram = "userpool.commit.duration", "s", by ["outcome"]:
        "Time of a commit, with the wait for a connection";
    COMMIT_COLLISIONS: Counter = "userpool.commit.collisions", "{commit}", by []:
        "Commits that were decided again, because another one came first";

    // Events.
    EVENTS_REFUSED: Counter = "userpool.events.refused", "{call}", by ["type"]:
        "Calls that were refused because servers of the release before can't read this type of event, and the upgrade is not finished";
    FEED_OLDEST_WRITER: Observed = "userpool.feed.oldest_writer", "s", by []:
        "Age of the oldest writing transaction of the database cluster: no younger event is relayed. Absent where the account is no member of pg_read_all_stats, and on replicas that do not relay";
    RELAY_LAG: Gauge = "userpool.relay.lag", "s", by ["log"]:
        "Age of the oldest event that is not published; 0 on replicas that do not relay";
    RELAY_PUBLISHED: Counter = "userpool.relay.published", "{event}", by ["log"]:
        "Events that this replica published";
    RELAY_PARKED: Gauge = "userpool.relay.parked", "{event}", by ["log"]:
        "Events that can't be published, and later events of their keys; 0 on replicas that do not relay";
    RELAY_ERRORS: Counter = "userpool.relay.errors", "{error}", by []:
        "Restarts of the relay after an error";
    ACTIVITY_LEFT_OUT: Counter = "userpool.activity.left_out", "{fact}", by []:
        "Facts about guesses that were not recorded, because there were too many";
    UNRECORDED_REFUSALS: Counter = "userpool.unrecorded_refusals", "{call}", by ["exception"]:
        "Refused calls of service accounts that were not recorded, because there were too many";

    // Messages.
    OUTBOX_MESSAGES: Gauge = "userpool.outbox.messages", "{message}", by ["medium", "state"]:
        "Messages in the outbox: waiting, or dead because they were given up";
    OUTBOX_AGE: Gauge = "userpool.outbox.age", "s", by ["medium"]:
        "Age of the oldest waiting message; 0 if none waits";
    MESSAGES_DELIVERED: Counter = "userpool.messages.delivered", "{message}", by ["medium"]:
        "Messages that a relay, a gateway or the mailbox accepted";
    MESSAGES_FAILED: Counter = "userpool.messages.failed", "{attempt}", by ["medium"]:
        "Failed attempts to deliver a message, which are repeated";
    MESSAGES_DEAD: Counter = "userpool.messages.dead", "{message}", by ["medium"]:
        "Messages that were given up";

    // Triggers.
    TRIGGER_DURATION: Histogram = "userpool.trigger.duration", "s", by ["trigger", "outcome"]:
        "Time of a question to a trigger, with all its attempts: answered, silent, refused because too many calls of its function were under way, or no_brokers";
    TRIGGER_REPEATS: Counter = "userpool.trigger.repeats", "{attempt}", by ["trigger"]:
        "Questions that were asked again, because nobody had replied in time";
    TRIGGER_REPLIES_DROPPED: Counter = "userpool.trigger.replies.dropped", "{reply}", by []:
        "Replies of triggers that nobody waited for: doubled, late, or to another process";
    TRIGGER_BRIDGE_DURATION: Histogram = "userpool.trigger.bridge.duration", "s", by ["trigger", "outcome"]:
        "Time of a call of the trigger bridge for a function: answered, failed because its handler did, refused by the endpoint, unavailable, late, or unsent because the brokers did not take the reply";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_names_have_unit_and_total() {
        let names = [&CALL_DURATION as &dyn Metric, &RELAY_LAG, &RELAY_PARKED, &MESSAGES_DEAD].map(prometheus_name);
        let expected = [
            "rpc_server_call_duration_seconds",
            "userpool_relay_lag_seconds",
            "userpool_relay_parked",
            "userpool_messages_dead_total",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn every_metric_has_a_name_of_its_own_and_says_what_it_is() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|metric| metric.definition().name).collect();
        assert_eq!(names.len(), ALL.len());
        for Definition { name, description, .. } in ALL.iter().map(|metric| metric.definition()) {
            assert!(name.contains('.') && name.chars().all(|c| c.is_ascii_lowercase() || "._".contains(c)), "{name}");
            assert!(description.chars().next().is_some_and(char::is_uppercase), "{name}: {description}");
            assert!(!description.ends_with('.'), "{name}: {description}");
        }
    }

    #[test]
    fn an_empty_value_is_no_attribute() {
        let taken = attributes(&["error.type", "operation"], &["", "SignUp"]);
        assert_eq!(taken, [KeyValue::new("operation", "SignUp")]);
    }
}
