//! The lock-out after wrong passwords (guide: amazon-cognito-user-pools-authentication-flow; NIST SP 800-63B-4, 3.2.2).
//!
//! ```text
//!            wrong, n < 5                    wrong, n >= 5
//!   Open ───────────────▶ Open(n + 1) ───────────────────▶ Locked for 2^(n - 5) s, 15 min at most
//!    ▲                        │                                      │
//!    └── right password ──────┘◀───────────── time passes ───────────┘
//!    └── a day without an attempt: n fades to 0 ─────────────────────┘
//! ```
//! An attempt while locked is refused and changes nothing. Cognito forgets failures after 15 quiet minutes, and so
//! allows some fifteen guesses every half hour, for ever. Here failures fade over a day, and a hundred remembered ones
//! lock by themselves: no more than a hundred guesses are ever made in a row.

use crate::domain::time::Timestamp;

const FREE_FAILURES: u32 = 5;
const LONGEST_SECONDS: i64 = 15 * 60;
/// This many remembered failures lock by themselves, until the first of them has faded.
const MOST_IN_A_ROW: u32 = 100;
/// The failures at an unlocked name are forgotten after this many seconds without an attempt.
pub const FORGET_SECONDS: i64 = 24 * 60 * 60;

/// The recent attempts at one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Wrong passwords, without those that were refused while locked.
    pub failures: u32,
    /// When the last wrong password came.
    pub last_at: Timestamp,
    /// When the lock ends; `None` if the last wrong password did not lock.
    pub locked_until: Option<Timestamp>,
}

impl Attempts {
    /// When the name became open; quiet time counts from then. If the time of a lock counted as quiet, a guesser who
    /// comes back at the end of each lock would always begin anew.
    fn open_since(&self) -> Timestamp {
        self.locked_until.map_or(self.last_at, |until| until.max(self.last_at))
    }

    /// How many failures are remembered: they fade in proportion to the part of a day that has passed, rounded up.
    fn remembered(&self, at: Timestamp) -> u32 {
        let day = FORGET_SECONDS * 1000;
        let left = (day - (at.0 - self.open_since().0).max(0)).max(0);
        let failures = (i64::from(self.failures) * left + day - 1) / day;
        u32::try_from(failures).unwrap_or(u32::MAX)
    }
}

/// How a guess at a password counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// The user was locked: the password was not checked, and nothing counts.
    Unheard,
    /// The password was right. The commit asserts that the user was not locked meanwhile, even if the sign-in fails for
    /// another reason.
    Right,
    /// The password was wrong, and counts.
    Wrong {
        /// The attempts at the user from now on.
        attempts: Attempts,
        /// The attempts at the name, where these are what callers are told.
        by_name: Option<Attempts>,
    },
}

/// Whether a name is locked at this time.
pub fn is_locked(attempts: Option<&Attempts>, at: Timestamp) -> bool {
    attempts.is_some_and(|attempts| {
        attempts.locked_until.is_some_and(|until| at < until) || attempts.remembered(at) >= MOST_IN_A_ROW
    })
}

/// The attempts after one more wrong password.
pub fn after_failure(attempts: Option<&Attempts>, at: Timestamp) -> Attempts {
    let failures = attempts.map_or(0, |attempts| attempts.remembered(at)).saturating_add(1);
    let locked_until = (failures >= FREE_FAILURES).then(|| {
        // 2^10 seconds exceed the longest lock already.
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
    fn failures_fade_over_a_day() {
        let open = Attempts { failures: 4, last_at: at(0), locked_until: None };
        for (after, failures) in [(900, 5), (21_599, 5), (21_600, 4), (43_200, 3), (86_399, 2), (86_400, 1)] {
            assert_eq!(after_failure(Some(&open), at(after)).failures, failures, "after {after} s");
        }
        let locked = Attempts { failures: 9, last_at: at(0), locked_until: Some(at(16)) };
        assert_eq!(after_failure(Some(&locked), at(916)).failures, 10, "a quarter of an hour forgets nothing");
        assert_eq!(after_failure(Some(&locked), at(86_415)).failures, 2);
        assert_eq!(after_failure(Some(&locked), at(86_416)).failures, 1);
    }

    /// Guesses as often as the lock allows.
    #[test]
    fn no_more_than_a_hundred_guesses_are_made_in_a_row_and_fifty_a_day_after_them() {
        let (mut attempts, mut now, mut made) = (None, 0, Vec::new());
        while now < 30 * 86_400 {
            if is_locked(attempts.as_ref(), at(now)) {
                now += 1;
                continue;
            }
            let next = after_failure(attempts.as_ref(), at(now));
            assert!(next.failures <= 100);
            attempts = Some(next);
            made.push(now);
        }
        let last_day = made.iter().filter(|it| **it >= 29 * 86_400).count();
        assert!((40..=50).contains(&last_day), "{last_day}");
        assert!(made.len() < 100 + 30 * 50, "{}", made.len());
    }

    #[test]
    fn a_name_is_locked_until_its_time() {
        let attempts = Attempts { failures: 5, last_at: at(0), locked_until: Some(at(1)) };
        assert!(is_locked(Some(&attempts), at(0)));
        assert!(!is_locked(Some(&attempts), at(1)));
        assert!(!is_locked(None, at(0)));
    }
}
