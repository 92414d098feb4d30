//! The slots for slow work, and the queue for them: callers take turns by pool, then by network.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::app::caller::Turn;
use crate::domain::ids::UserPoolId;
use crate::limits::Network;
use crate::limits::fair_queue::{Bounds, FairQueue};

/// The longest expected wait for a slot.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Later callers can be served first; after this time a caller is refused.
const LONGEST_OVERTAKEN: Duration = Duration::from_secs(2);
/// Most waiting callers: in all more than both doors let in, so that the expected wait, or a network's own bound, is
/// the limit that callers meet first. Else one pool's callers from many networks would leave no room for other pools.
const BOUNDS: Bounds = Bounds { most: 16_384, most_of_one: 256 };

/// No slot becomes free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSlot;

/// A number of slots and the queue for them.
#[derive(Clone, Debug)]
pub struct Slots {
    shared: Arc<Mutex<State>>,
    slots: u32,
}

#[derive(Debug)]
struct State {
    free: u32,
    waiting: FairQueue<UserPoolId, Network, Waiter>,
    /// The number of the last waiter; numbers tell waiters apart.
    last: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    call: oneshot::Sender<Slot>,
}

/// A taken slot. When it is dropped, the next waiter gets it.
#[derive(Debug)]
pub struct Slot(Option<Slots>);

impl Slots {
    /// With all slots free.
    pub fn new(slots: u32) -> Self {
        let state = State { free: slots, waiting: FairQueue::new(BOUNDS), last: 0 };
        Self { shared: Arc::new(Mutex::new(state)), slots }
    }

    /// A panic while the lock is held leaves no half-made change: each change is one call of the queue or one number.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many callers wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// How long a caller would wait who came now, if that is not too long. `one` is the expected time of one piece of work.
    pub fn expect(&self, turn: &Turn, one: Duration) -> Result<Duration, NoSlot> {
        self.expected(&self.state(), turn, one)
    }

    fn expected(&self, state: &State, turn: &Turn, one: Duration) -> Result<Duration, NoSlot> {
        if state.free > 0 {
            return Ok(Duration::ZERO);
        }
        let ahead = state.waiting.ahead(&turn.pool, &turn.network).ok_or(NoSlot)?;
        let turns = u32::try_from(ahead + 1).map_err(|_| NoSlot)?;
        let expected = one.saturating_mul(turns) / self.slots;
        let longest = turn.patience.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        if expected > longest { Err(NoSlot) } else { Ok(expected) }
    }

    /// Waits for a slot; `one` is the expected time of one piece of work.
    pub async fn take(&self, turn: &Turn, one: Duration) -> Result<Slot, NoSlot> {
        let (number, slot) = {
            let mut state = self.state();
            self.expected(&state, turn, one)?;
            if state.free > 0 {
                // A slot that is given back goes to the next waiter: none is free while a caller waits.
                state.free -= 1;
                return Ok(Slot(Some(self.clone())));
            }
            let (call, slot) = oneshot::channel();
            state.last += 1;
            let number = state.last;
            state.waiting.push(&turn.pool, &turn.network, Waiter { number, call });
            (number, slot)
        };
        let _waiting = Waiting { slots: self, turn, number };
        let longest = turn.patience.unwrap_or(LONGEST_OVERTAKEN).min(LONGEST_OVERTAKEN);
        let called = tokio::time::timeout(longest, slot).await;
        called.map_err(|_| NoSlot)?.map_err(|_| NoSlot)
    }

    /// Gives the slot to the next caller who still waits.
    fn give_back(self) {
        loop {
            let next = {
                let mut state = self.state();
                let next = state.waiting.pop();
                state.free += u32::from(next.is_none());
                next
            };
            let Some(waiter) = next else { return };
            match waiter.call.send(Slot(Some(self.clone()))) {
                Ok(()) => return,
                // A caller who hung up did not get it; the slot is still the one to give back.
                Err(mut slot) => slot.0 = None,
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.0.take() {
            slots.give_back();
        }
    }
}

/// Leaves the queue when it is dropped, however the wait ends.
struct Waiting<'a> {
    slots: &'a Slots,
    turn: &'a Turn,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = |waiter: &Waiter| waiter.number == self.number;
        let waiter = self.slots.state().waiting.remove(&self.turn.pool, &self.turn.network, left);
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

    /// Lets every task that can go on do so.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_returned_slot_goes_to_the_next_caller() {
        let slots = Slots::new(1);
        let held = slots.take(&turn("one", 1), ONE).await.unwrap();
        let waiting = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take(&turn("one", 1), ONE).await }
        });
        settle().await;
        assert!(!waiting.is_finished());
        drop(held);
        let held = waiting.await.unwrap().unwrap();
        assert_eq!(slots.state().free, 0);
        drop(held);
        assert_eq!(slots.state().free, 1);
    }

    #[tokio::test]
    async fn a_long_line_refuses_its_own_network_and_no_other() {
        let slots = Slots::new(1);
        let _held = slots.take(&turn("one", 1), ONE).await.unwrap();
        let flood: Vec<_> = (0..30)
            .map(|_| {
                let slots = slots.clone();
                tokio::spawn(async move { slots.take(&turn("one", 1), ONE).await.map(std::mem::forget) })
            })
            .collect();
        settle().await;
        // One second is ten pieces of work.
        assert_eq!(flood.iter().filter(|flooder| flooder.is_finished()).count(), 20);
        assert_eq!(slots.expect(&turn("one", 1), ONE), Err(NoSlot));
        assert_eq!(slots.expect(&turn("one", 2), ONE), Ok(ONE * 2));
        assert_eq!(slots.expect(&turn("two", 1), ONE), Ok(ONE * 2));
        let hurried = Turn { patience: Some(ONE), ..turn("one", 2) };
        assert_eq!(slots.expect(&hurried, ONE), Err(NoSlot));
        flood.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_leaves_the_queue_and_keeps_no_slot() {
        let slots = Slots::new(1);
        let held = slots.take(&turn("one", 1), ONE).await.unwrap();
        let (first, other) = (turn("one", 1), turn("one", 2));
        let mut waiting = Box::pin(slots.take(&first, ONE));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        assert!(slots.state().waiting.is_empty());
        // A waiter who gets a slot and hangs up before they notice.
        let mut waiting = Box::pin(slots.take(&first, ONE));
        let mut next = Box::pin(slots.take(&other, ONE));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(futures::poll!(&mut next).is_pending());
        drop(held);
        drop(waiting);
        assert!(next.await.is_ok());
        assert_eq!(slots.state().free, 1);
    }

    #[test]
    fn a_pool_with_a_full_queue_refuses_no_other_pool() {
        let slots = Slots::new(64);
        slots.state().free = 0;
        // As many as both doors let in by default.
        for number in 0..2 * 4_096 {
            let turn = turn("one", u8::try_from(number % 250).unwrap());
            assert!(slots.expect(&turn, Duration::from_micros(1)).is_ok(), "{number} wait");
            let (call, _) = oneshot::channel();
            let waiter = Waiter { number, call };
            slots.state().waiting.push(&turn.pool, &turn.network, waiter);
        }
        assert!(slots.expect(&turn("two", 1), ONE).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn no_caller_waits_for_ever_behind_later_ones() {
        let slots = Slots::new(1);
        let _held = slots.take(&turn("one", 1), ONE).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(slots.take(&turn("one", 1), ONE).await.map(drop), Err(NoSlot));
        assert_eq!(began.elapsed(), LONGEST_OVERTAKEN);
        assert!(slots.state().waiting.is_empty());
    }
}
