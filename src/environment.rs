//! The two things that rules must not fetch: the time and randomness. The outer layers fetch them here and pass them
//! on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::domain::time::Timestamp;

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The current time, by the system's wall clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // Milliseconds since 1970 fit an i64 for the next 292 million years.
        Timestamp(since.as_millis() as i64)
    }
}

/// Random values from the operating system's generator.
#[derive(Clone, Debug, Default)]
pub struct Random(SystemRandom);

impl Random {
    /// Random bytes, as many as the array has.
    #[expect(clippy::expect_used, reason = "AWS-LC aborts the process rather than answer without entropy")]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    /// A random UUID (version 4).
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// An id that sorts by its time (UUID version 7).
    pub fn event_id(&self, at: Timestamp) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(at.0.max(0) as u64, &self.bytes()).into_uuid()
    }

    /// A text of this many characters from an alphabet, each equally likely.
    pub fn text(&self, alphabet: &[u8], length: usize) -> String {
        let limit = 256 - 256 % alphabet.len();
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let [byte] = self.bytes::<1>();
            if usize::from(byte) < limit {
                text.push(char::from(alphabet[usize::from(byte) % alphabet.len()]));
            }
        }
        text
    }

    /// A code of six decimal digits.
    pub fn code(&self) -> String {
        self.text(b"0123456789", 6)
    }
}
