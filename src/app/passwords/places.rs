//! The places at which slow work is done, and who waits for one: by turns of pools, then of callers' networks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::ids::UserPoolId;
use crate::limits::Network;
use crate::limits::fair_queue::{Bounds, FairQueue};

/// The longest expected wait for a place.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Others who come later can have their turn before: nobody waits for so long though.
const LONGEST_OVERTAKEN: Duration = Duration::from_secs(2);
/// So many may wait: in all more than both doors let in, for what is met first is to be the wait that is expected, by pool and
/// network, or a network's own bound. Else one pool's callers from many networks would leave no room for other pools.
const BOUNDS: Bounds = Bounds { most: 16_384, most_of_one: 256 };

/// Whose turn slow work takes.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The pool that it is done for.
    pub pool: UserPoolId,
    /// Where the caller is.
    pub network: Network,
    /// How long the caller waits.
    pub patience: Option<Duration>,
}

/// There is none in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace;

/// So many places.
#[derive(Clone, Debug)]
pub struct Places {
    shared: Arc<Mutex<State>>,
    places: u32,
}

#[derive(Debug)]
struct State {
    free: u32,
    waiting: FairQueue<UserPoolId, Network, Waiter>,
    /// Numbers tell waiters apart.
    last: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    call: oneshot::Sender<Place>,
}

/// A place that is taken, until it is dropped: then the next one has it.
#[derive(Debug)]
pub struct Place(Option<Places>);

impl Places {
    /// All of them free.
    pub fn new(places: u32) -> Self {
        let state = State { free: places, waiting: FairQueue::new(BOUNDS), last: 0 };
        Self { shared: Arc::new(Mutex::new(state)), places }
    }

    /// A panic while the lock is held leaves no half of a change: each is one call of the queue or one number.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long somebody would wait who came now, if that is not too long.
    pub fn expect(&self, turn: &Turn, one: Duration) -> Result<Duration, NoPlace> {
        self.expected(&self.state(), turn, one)
    }

    fn expected(&self, state: &State, turn: &Turn, one: Duration) -> Result<Duration, NoPlace> {
        if state.free > 0 {
            return Ok(Duration::ZERO);
        }
        let ahead = state.waiting.ahead(&turn.pool, &turn.network).ok_or(NoPlace)?;
        let turns = u32::try_from(ahead + 1).map_err(|_| NoPlace)?;
        let expected = one.saturating_mul(turns) / self.places;
        let longest = turn.patience.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        if expected > longest { Err(NoPlace) } else { Ok(expected) }
    }

    /// Waits for a place, where one piece of work is expected to take so long.
    pub async fn take(&self, turn: &Turn, one: Duration) -> Result<Place, NoPlace> {
        let (number, place) = {
            let mut state = self.state();
            self.expected(&state, turn, one)?;
            if state.free > 0 {
                // Whoever gives a place back gives it to who waits: none is free while somebody does.
                state.free -= 1;
                return Ok(Place(Some(self.clone())));
            }
            let (call, place) = oneshot::channel();
            state.last += 1;
            let number = state.last;
            state.waiting.push(&turn.pool, &turn.network, Waiter { number, call });
            (number, place)
        };
        let _waiting = Waiting { places: self, turn, number };
        let longest = turn.patience.unwrap_or(LONGEST_OVERTAKEN).min(LONGEST_OVERTAKEN);
        let called = tokio::time::timeout(longest, place).await;
        called.map_err(|_| NoPlace)?.map_err(|_| NoPlace)
    }

    /// Gives a place to the next one who still waits.
    fn give_back(self) {
        loop {
            let next = {
                let mut state = self.state();
                let next = state.waiting.pop();
                state.free += u32::from(next.is_none());
                next
            };
            let Some(waiter) = next else { return };
            match waiter.call.send(Place(Some(self.clone()))) {
                Ok(()) => return,
                // Who hung up has not got it; the place is still the one that is given back here.
                Err(mut place) => place.0 = None,
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = self.0.take() {
            places.give_back();
        }
    }
}

/// Leaves the queue when it is dropped, for whatever reason the wait has ended.
struct Waiting<'a> {
    places: &'a Places,
    turn: &'a Turn,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = |waiter: &Waiter| waiter.number == self.number;
        let waiter = self.places.state().waiting.remove(&self.turn.pool, &self.turn.network, left);
        drop(waiter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Duration = Duration::from_millis(100);

    fn turn(pool: &str, network: u8) -> Turn {
        let network = Network::of(std::net::IpAddr::from([192, 0, 2, network]));
        Turn { pool: UserPoolId::new(pool), network, patience: None }
    }

    /// Lets everybody who can go on do so.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_is_the_next_ones() {
        let places = Places::new(1);
        let held = places.take(&turn("one", 1), ONE).await.unwrap();
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.take(&turn("one", 1), ONE).await }
        });
        settle().await;
        assert!(!waiting.is_finished());
        drop(held);
        let held = waiting.await.unwrap().unwrap();
        assert_eq!(places.state().free, 0);
        drop(held);
        assert_eq!(places.state().free, 1);
    }

    #[tokio::test]
    async fn who_waits_in_a_long_line_is_refused_and_who_comes_from_elsewhere_is_not() {
        let places = Places::new(1);
        let _held = places.take(&turn("one", 1), ONE).await.unwrap();
        let flood: Vec<_> = (0..30)
            .map(|_| {
                let places = places.clone();
                tokio::spawn(async move { places.take(&turn("one", 1), ONE).await.map(std::mem::forget) })
            })
            .collect();
        settle().await;
        // A second is ten pieces of work.
        assert_eq!(flood.iter().filter(|flooder| flooder.is_finished()).count(), 20);
        assert_eq!(places.expect(&turn("one", 1), ONE), Err(NoPlace));
        assert_eq!(places.expect(&turn("one", 2), ONE), Ok(ONE * 2));
        assert_eq!(places.expect(&turn("two", 1), ONE), Ok(ONE * 2));
        let hurried = Turn { patience: Some(ONE), ..turn("one", 2) };
        assert_eq!(places.expect(&hurried, ONE), Err(NoPlace));
        flood.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_while_waiting_is_not_counted_any_more_and_takes_no_place_along() {
        let places = Places::new(1);
        let held = places.take(&turn("one", 1), ONE).await.unwrap();
        let (first, other) = (turn("one", 1), turn("one", 2));
        let mut waiting = Box::pin(places.take(&first, ONE));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        assert!(places.state().waiting.is_empty());
        // One that was called and hangs up before it hears of it.
        let mut waiting = Box::pin(places.take(&first, ONE));
        let mut next = Box::pin(places.take(&other, ONE));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(futures::poll!(&mut next).is_pending());
        drop(held);
        drop(waiting);
        assert!(next.await.is_ok());
        assert_eq!(places.state().free, 1);
    }

    #[test]
    fn a_pool_for_which_all_that_doors_let_in_waits_refuses_no_other_pool() {
        let places = Places::new(64);
        places.state().free = 0;
        // Both doors, by default.
        for number in 0..2 * 4_096 {
            let turn = turn("one", u8::try_from(number % 250).unwrap());
            assert!(places.expect(&turn, Duration::from_micros(1)).is_ok(), "{number} wait");
            let (call, _) = oneshot::channel();
            let waiter = Waiter { number, call };
            places.state().waiting.push(&turn.pool, &turn.network, waiter);
        }
        assert!(places.expect(&turn("two", 1), ONE).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_whoever_comes_later() {
        let places = Places::new(1);
        let _held = places.take(&turn("one", 1), ONE).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(places.take(&turn("one", 1), ONE).await.map(drop), Err(NoPlace));
        assert_eq!(began.elapsed(), LONGEST_OVERTAKEN);
        assert!(places.state().waiting.is_empty());
    }
}
