//! Points in time.

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds since 1970, as JWTs have them.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The time this many seconds later.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(at: Timestamp) -> Self {
        // The remainder is below a thousand, so nanoseconds fit.
        Self { seconds: at.seconds(), nanos: (at.0.rem_euclid(1000) * 1_000_000) as i32 }
    }
}
