//! The TLS handshakes under way. There is always room for one more: the oldest is given up for it.
//!
//! A caller that connects and sends nothing soon has the oldest handshake; so it can't keep others out, and no caller
//! waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::Network;

/// The limits of handshakes: in all, and of one network.
#[derive(Debug)]
pub struct Handshakes {
    most: usize,
    most_of_one: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    /// In the order in which they began.
    under_way: VecDeque<(u64, Option<Network>, oneshot::Sender<()>)>,
    networks: HashMap<Network, usize>,
}

/// A handshake under way, until it is dropped.
#[derive(Debug)]
pub struct Handshake {
    handshakes: Arc<Handshakes>,
    number: u64,
    given_up: oneshot::Receiver<()>,
}

impl Handshakes {
    /// Without handshakes; `most` in all, `most_of_one` of one network.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, state: Mutex::default() })
    }

    /// A panic while the lock is held can only leave counts that are too high: then handshakes are given up earlier.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a handshake. `network` is absent for callers without a limit of their own.
    pub fn begin(self: &Arc<Self>, network: Option<Network>) -> Handshake {
        let mut state = self.state();
        let own = network.and_then(|network| state.networks.get(&network).copied()).unwrap_or(0);
        if own >= self.most_of_one {
            let oldest = state.under_way.iter().position(|(_, of, _)| *of == network);
            state.give_up(oldest);
        } else if state.under_way.len() >= self.most {
            state.give_up(Some(0));
        }
        let (sender, given_up) = oneshot::channel();
        state.last += 1;
        let number = state.last;
        state.under_way.push_back((number, network, sender));
        if let Some(network) = network {
            *state.networks.entry(network).or_default() += 1;
        }
        drop(state);
        Handshake { handshakes: self.clone(), number, given_up }
    }
}

impl State {
    /// Removes a handshake; its task sees that the sender is gone.
    fn give_up(&mut self, at: Option<usize>) {
        let Some((_, network, _)) = at.and_then(|at| self.under_way.remove(at)) else { return };
        if let Some(network) = network
            && let Some(count) = self.networks.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&network);
            }
        }
    }
}

impl Handshake {
    /// Ends when the handshake is given up for another.
    pub async fn given_up(&mut self) {
        let _ = (&mut self.given_up).await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let mut state = self.handshakes.state();
        let at = state.under_way.iter().position(|(number, _, _)| *number == self.number);
        state.give_up(at);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures::FutureExt;

    use super::*;

    fn network(number: u8) -> Option<Network> {
        Some(Network::of(IpAddr::from([192, 0, 2, number])))
    }

    fn is_given_up(handshake: &mut Handshake) -> bool {
        handshake.given_up().now_or_never().is_some()
    }

    #[test]
    fn beyond_its_share_a_network_loses_its_own_oldest_handshake() {
        let handshakes = Handshakes::new(10, 2);
        let mut other = handshakes.begin(network(2));
        let mut flood: Vec<_> = (0..5).map(|_| handshakes.begin(network(1))).collect();
        let given_up: Vec<_> = flood.iter_mut().map(is_given_up).collect();
        assert_eq!(given_up, [true, true, true, false, false]);
        assert!(!is_given_up(&mut other));
        drop(flood.pop());
        let _next = handshakes.begin(network(1));
        assert!(!is_given_up(&mut flood[3]));
    }

    #[test]
    fn beyond_the_limit_the_oldest_handshake_is_given_up() {
        let handshakes = Handshakes::new(3, 2);
        let mut first = handshakes.begin(None);
        let mut rest: Vec<_> = (1..=2).map(|number| handshakes.begin(network(number))).collect();
        assert!(!is_given_up(&mut first));
        rest.push(handshakes.begin(None));
        assert!(is_given_up(&mut first));
        assert!(!rest.iter_mut().any(is_given_up));
        drop((first, rest));
        let state = handshakes.state();
        assert!(state.under_way.is_empty() && state.networks.is_empty());
    }
}
