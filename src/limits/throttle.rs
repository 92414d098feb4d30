//! Rate limits for many keys, in the memory of this process.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// A rate limit with a burst, for each key.
pub struct Throttle<Key: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
}

impl<Key: Hash + Eq + Clone> std::fmt::Debug for Throttle<Key> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Throttle").field("keys", &self.limiter.len()).finish_non_exhaustive()
    }
}

impl<Key: Hash + Eq + Clone> Throttle<Key> {
    fn new(quota: Quota) -> Self {
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// At most this many per second and at once, but at least one.
    pub fn a_second(most: u32, at_once: u32) -> Self {
        Self::new(Quota::per_second(at_least_one(most)).allow_burst(at_least_one(at_once)))
    }

    /// One replica's share of an hourly limit, all of which can be used at once. For 0 the result is `None`, which
    /// limits nothing.
    pub fn an_hour(most: u32, replicas: u32) -> Option<Self> {
        (most > 0).then(|| Self::new(Quota::per_hour(share(most, replicas))))
    }

    /// Counts one more for a key, or returns how long to wait.
    pub fn spend(&self, key: &Key) -> Result<(), Duration> {
        self.limiter.check_key(key).map_err(|early| early.wait_time_from(self.clock.now()))
    }

    /// Forgets the keys whose limit is unused again.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// The share of one replica, rounded up, so that each replica has at least one.
pub fn share(most: u32, replicas: u32) -> NonZeroU32 {
    at_least_one(most.div_ceil(replicas.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_limit() {
        let throttle = Throttle::a_second(1, 3);
        let taken = |key: &str| (0..5).filter(|_| throttle.spend(&key.to_owned()).is_ok()).count();
        assert_eq!((taken("one"), taken("other")), (3, 3));
        let wait = throttle.spend(&"one".to_owned()).unwrap_err();
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(500), "{wait:?}");
        assert!(Throttle::<String>::an_hour(0, 1).is_none());
        assert_eq!((share(10, 3).get(), share(1, 3).get(), share(9, 0).get()), (4, 1, 9));
    }
}
