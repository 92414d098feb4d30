//! Which refusals of developer calls are recorded.
//!
//! An access key id is no secret: whoever knows one could have as many facts written as there are calls by wrong signatures.
//! So a few a minute are, and the next that is says how many were not.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::domain::error::Exception;
use crate::domain::ids::AccessKeyId;

/// So many refusals of a kind are recorded a minute, for each account and by each process.
pub const RECORDED_A_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

/// Whose calls are refused, and how: what a stranger does in the name of an account hides nothing that the account itself does.
/// Only accounts that exist are counted, so there are not many.
type Kind = (AccessKeyId, Exception);

/// Which refusals are recorded.
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

    /// Takes note of a refusal. If it is to be recorded, answers how many before it were not.
    pub fn take(&self, account: &AccessKeyId, exception: Exception) -> Option<u32> {
        let kind = (account.clone(), exception);
        let recorded = self.recorded.check_key(&kind).is_ok();
        // The numbers are right after every statement of whoever held the lock.
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
    fn a_flood_at_one_account_hides_neither_others_nor_what_the_account_does_itself() {
        let refusals = Refusals::by_clock(FakeRelativeClock::default());
        let [one, other] = ["AKIAAAAAAAAAAAAAAAAA", "AKIABBBBBBBBBBBBBBBB"].map(AccessKeyId::new);
        while refusals.take(&one, FORGED).is_some() {}
        assert_eq!(refusals.take(&other, FORGED), Some(0));
        assert_eq!(refusals.take(&one, Exception::AccessDeniedException), Some(0));
    }
}
