//! The lock-out after wrong passwords (guide: amazon-cognito-user-pools-authentication-flow).
//!
//! ```text
//!            wrong, n < 5                    wrong, n >= 5
//!   Open ───────────────▶ Open(n + 1) ───────────────────▶ Locked for 2^(n - 5) s, 15 min at most
//!    ▲                        │                                      │
//!    └── right password ──────┘◀───────────── time passes ───────────┘
//!    └── 15 minutes without an attempt ──────────────────────────────┘
//! ```
//! An attempt while locked is refused and changes nothing.

use crate::domain::time::Timestamp;

const FREE_FAILURES: u32 = 5;
const LONGEST_SECONDS: i64 = 15 * 60;
/// After so many seconds without an attempt at a name that is not locked the failures are forgotten.
pub const FORGET_SECONDS: i64 = 15 * 60;

/// What is known of the attempts at one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Wrong passwords, not counting those that came while locked.
    pub failures: u32,
    /// The last one.
    pub last_at: Timestamp,
    /// Until when the name is locked.
    pub locked_until: Option<Timestamp>,
}

impl Attempts {
    /// Since when the name is open. Quiet time counts from then: if that of a lock counted, the longest lock would be
    /// forgotten at its end, and guessing would begin anew.
    fn open_since(&self) -> Timestamp {
        self.locked_until.map_or(self.last_at, |until| until.max(self.last_at))
    }
}

/// Whether a name is locked at a time.
pub fn is_locked(attempts: Option<&Attempts>, at: Timestamp) -> bool {
    attempts.and_then(|attempts| attempts.locked_until).is_some_and(|until| at < until)
}

/// The attempts after one more wrong password.
pub fn after_failure(attempts: Option<&Attempts>, at: Timestamp) -> Attempts {
    let remembered = attempts.filter(|attempts| at < attempts.open_since().plus_seconds(FORGET_SECONDS));
    let failures = remembered.map_or(0, |attempts| attempts.failures).saturating_add(1);
    let locked_until = (failures >= FREE_FAILURES).then(|| {
        // 2^10 seconds are beyond the longest lock already.
        let seconds = 1_i64 << (failures - FREE_FAILURES).min(10);
        at.plus_seconds(seconds.min(LONGEST_SECONDS))
    });
    Attempts { failures, last_at: at, locked_until }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(0).plus_seconds(seconds)
    }

    #[test]
    fn the_lock_doubles_from_the_fifth_failure_up_to_fifteen_minutes() {
        let mut attempts = None;
        let mut now = 0;
        let mut locks = Vec::new();
        for _ in 0..17 {
            let next = after_failure(attempts.as_ref(), at(now));
            let lock = next.locked_until.map_or(0, |until| until.seconds() - now);
            locks.push(lock);
            now += lock;
            assert!(!is_locked(Some(&next), at(now)));
            attempts = Some(next);
        }
        assert_eq!(locks, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }

    #[test]
    fn fifteen_quiet_minutes_forget_the_failures() {
        let open = Attempts { failures: 4, last_at: at(0), locked_until: None };
        assert_eq!(after_failure(Some(&open), at(899)).failures, 5);
        assert_eq!(after_failure(Some(&open), at(900)).failures, 1);
        let locked = Attempts { failures: 9, last_at: at(0), locked_until: Some(at(16)) };
        assert_eq!(after_failure(Some(&locked), at(915)).failures, 10);
        assert_eq!(after_failure(Some(&locked), at(916)).failures, 1);
    }

    #[test]
    fn a_name_is_locked_until_its_time() {
        let attempts = Attempts { failures: 5, last_at: at(0), locked_until: Some(at(1)) };
        assert!(is_locked(Some(&attempts), at(0)));
        assert!(!is_locked(Some(&attempts), at(1)));
        assert!(!is_locked(None, at(0)));
    }
}
