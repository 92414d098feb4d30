//! Rate limits by the generic cell rate algorithm (ITU-T I.371, annex A), whose whole state is one point in time.
//!
//! The whole amount of a period is allowed at once; after that, one more is allowed each time its share of the period
//! is over.

use std::time::Duration;

use crate::domain::error::Error;
use crate::domain::time::Timestamp;

/// A rate: at most this many in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    most: u32,
    period: Duration,
}

/// What is limited per address or network, independent of user and client. Kept in the table `rates` under a keyed
/// hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateKind {
    /// Codes that are sent to one address.
    CodesToAddress,
    /// Codes that are requested from one network.
    CodesByCaller,
    /// The codes among these that are sent as SMS, which costs money.
    SmsByCaller,
    /// Wrong passwords and codes from one network.
    GuessesByCaller,
    /// Attempts to change one user's password.
    PasswordChanges,
    /// Wrong codes in one session of a sign-in.
    GuessesInSession,
}

impl RateKind {
    const ALL: [Self; 6] = [
        Self::CodesToAddress,
        Self::CodesByCaller,
        Self::SmsByCaller,
        Self::GuessesByCaller,
        Self::PasswordChanges,
        Self::GuessesInSession,
    ];

    /// The kind with this value in the column `kind`.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The value of the column `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::CodesToAddress => "codes_to_address",
            Self::CodesByCaller => "codes_by_caller",
            Self::SmsByCaller => "sms_by_caller",
            Self::GuessesByCaller => "guesses_by_caller",
            Self::PasswordChanges => "password_changes",
            Self::GuessesInSession => "guesses_in_session",
        }
    }
}

/// One use of a limit: the kind, the key and the rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Which limit is used.
    pub kind: RateKind,
    /// The address, network or user that is limited, as a keyed hash.
    pub key: Vec<u8>,
    /// How often it may happen.
    pub rate: Rate,
}

impl Limited {
    /// Refuses one more now, if this limit is reached.
    pub fn check(&self, arrival: Option<Arrival>, at: Timestamp) -> Result<(), Error> {
        let wait = self.rate.wait(arrival, at);
        wait.map_or(Ok(()), |wait| Err(Error::limit_exceeded_for(wait, self.kind.name())))
    }
}

/// The theoretical arrival time of the algorithm: from then on nothing is remembered. If it is absent or in the past,
/// the full amount is allowed.
pub type Arrival = Timestamp;

impl Rate {
    /// At most this many in an hour. For 0 the result is `None`, which limits nothing.
    pub fn an_hour(most: u32) -> Option<Self> {
        (most > 0).then_some(Self { most, period: Duration::from_secs(60 * 60) })
    }

    /// The time after which one more is allowed: the period divided by the amount.
    pub fn share(self) -> Duration {
        self.period / self.most
    }

    /// The share in milliseconds.
    pub fn share_millis(self) -> i64 {
        self.period_millis() / i64::from(self.most)
    }

    /// The period in milliseconds.
    pub fn period_millis(self) -> i64 {
        // Fits, because a period is an hour.
        i64::try_from(self.period.as_millis()).unwrap_or(i64::MAX)
    }

    /// How long to wait until the next one is allowed; `None` if it is allowed now.
    pub fn wait(self, arrival: Option<Arrival>, at: Timestamp) -> Option<Duration> {
        let begins = arrival.map_or(at.0, |arrival| arrival.0.max(at.0));
        let over = begins + self.share_millis() - (at.0 + self.period_millis());
        u64::try_from(over).ok().filter(|over| *over > 0).map(Duration::from_millis)
    }

    /// The arrival time after one more use.
    pub fn after(self, arrival: Option<Arrival>, at: Timestamp) -> Arrival {
        Timestamp(arrival.map_or(at.0, |arrival| arrival.0.max(at.0)) + self.share_millis())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many uses at these times are allowed, starting from an unused limit.
    fn allowed(rate: Rate, times: impl IntoIterator<Item = i64>) -> usize {
        let mut arrival = None;
        let through = |at: i64| {
            let free = rate.wait(arrival, Timestamp(at)).is_none();
            if free {
                arrival = Some(rate.after(arrival, Timestamp(at)));
            }
            free
        };
        times.into_iter().map(through).filter(|free| *free).count()
    }

    #[test]
    fn the_full_amount_comes_at_once_and_then_one_per_share() {
        let rate = Rate::an_hour(10).unwrap();
        assert_eq!(allowed(rate, vec![0; 100]), 10);
        let share = rate.share_millis();
        assert_eq!(allowed(rate, [vec![0; 100], vec![share - 1; 5], vec![share; 5]].concat()), 11);
        let full = rate.after(None, Timestamp(0));
        assert_eq!(
            rate.wait(Some(Timestamp(full.0 + 10 * share)), Timestamp(0)),
            Some(Duration::from_millis(2 * share as u64))
        );
        assert_eq!(Rate::an_hour(0), None);
    }

    proptest! {
        #[test]
        fn no_hour_sees_more_than_twice_what_is_allowed(most in 1_u32..50, mut times in prop::collection::vec(0_i64..7_200_000, 0..400)) {
            times.sort_unstable();
            let rate = Rate::an_hour(most).unwrap();
            let hour: Vec<_> = times.iter().copied().filter(|at| *at < 3_600_000).collect();
            prop_assert!(allowed(rate, hour) <= 2 * most as usize);
        }

        #[test]
        fn who_waits_as_long_as_it_was_told_is_let_through(most in 1_u32..50, spent in 0_u32..50, at in 0_i64..10_000_000) {
            let rate = Rate::an_hour(most).unwrap();
            let arrival = (0..spent).fold(None, |arrival, _| Some(rate.after(arrival, Timestamp(at))));
            if let Some(wait) = rate.wait(arrival, Timestamp(at)) {
                let later = Timestamp(at + i64::try_from(wait.as_millis()).unwrap());
                prop_assert_eq!(rate.wait(arrival, later), None);
            }
        }
    }
}
