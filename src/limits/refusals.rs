//! Which refusals of developer calls are recorded.
//!
//! An access key id is no secret: anyone who knows one could cause any number of facts by calls with wrong signatures.
//! So a few refusals a minute are recorded, and the next recorded one says how many were not.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::domain::error::Exception;
use crate::domain::ids::AccessKeyId;

/// The most refusals of a kind that one process records in a minute.
pub const RECORDED_A_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

/// The account and the exception: refusals that strangers cause in the name of an account do not hide those of the
/// account itself. Only existing accounts are counted, so there are few kinds.
type Kind = (AccessKeyId, Exception);

/// Decides which refusals are recorded.
#[derive(Debug)]
pub struct Refusals<C: Clock = DefaultClock> {
    recorded: RateLimiter<Kind, DefaultKeyedStateStore<Kind>, C, NoOpMiddleware<C::Instant>>,
    left_out: Mutex<HashMap<Kind, u32>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::by_clock(DefaultClock::default())
    }
}

impl<C: Clock> Refusals<C> {
    fn by_clock(clock: C) -> Self {
        let quota = Quota::per_minute(RECORDED_A_MINUTE);
        let recorded = RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock);
        Self { recorded, left_out: Mutex::default() }
    }

    /// Counts a refusal. If it is to be recorded, returns how many before it were not.
    pub fn take(&self, account: &AccessKeyId, exception: Exception) -> Option<u32> {
        let kind = (account.clone(), exception);
        let recorded = self.recorded.check_key(&kind).is_ok();
        // The counts are correct after each statement under the lock, even if a holder panicked.
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded {
            return Some(left_out.remove(&kind).unwrap_or(0));
        }
        let count = left_out.entry(kind).or_default();
        *count = count.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    const FORGED: Exception = Exception::InvalidSignatureException;

    #[test]
    fn a_few_a_minute_are_recorded_and_the_next_says_how_many_were_not() {
        let clock = FakeRelativeClock::default();
        let refusals = Refusals::by_clock(clock.clone());
        let account = AccessKeyId::new("AKIAAAAAAAAAAAAAAAAA");
        let few = RECORDED_A_MINUTE.get();
        let recorded = (0..1_000).filter(|_| refusals.take(&account, FORGED).is_some()).count();
        assert_eq!(recorded, few as usize);
        clock.advance(Duration::from_secs(60));
        assert_eq!(refusals.take(&account, FORGED), Some(1_000 - few));
        assert_eq!(refusals.take(&account, FORGED), Some(0));
    }

    #[test]
    fn a_flood_of_refusals_hides_no_other_accounts_and_no_other_exceptions() {
        let refusals = Refusals::by_clock(FakeRelativeClock::default());
        let [one, other] = ["AKIAAAAAAAAAAAAAAAAA", "AKIABBBBBBBBBBBBBBBB"].map(AccessKeyId::new);
        while refusals.take(&one, FORGED).is_some() {}
        assert_eq!(refusals.take(&other, FORGED), Some(0));
        assert_eq!(refusals.take(&one, Exception::AccessDeniedException), Some(0));
    }
}
