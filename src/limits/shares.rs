//! A bounded amount of a resource, of which each network gets at most a share.
//!
//! A caller's network is looked up once, under a lock; after that, taking and giving back only change counters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::limits::Network;

/// The amount, and how much each network has taken.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    most_of_one: usize,
    taken: AtomicUsize,
    networks: Mutex<HashMap<Network, Weak<Held>>>,
}

/// The part of the amount that a caller may take.
#[derive(Clone, Debug)]
pub struct Portion {
    shares: Arc<Shares>,
    /// What the caller's network has taken; `None` if the caller is not limited to a share.
    held: Option<Arc<Held>>,
}

/// An amount that is taken until it is dropped.
#[derive(Debug)]
pub struct Taken {
    portion: Portion,
    amount: usize,
}

/// The amount that the callers of a network have taken.
#[derive(Debug)]
struct Held {
    network: Network,
    taken: AtomicUsize,
    shares: Weak<Shares>,
}

impl Shares {
    /// At most `most` in all, and at most `most_of_one` for one network.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, taken: AtomicUsize::new(0), networks: Mutex::default() })
    }

    /// The portion that all callers of a network share.
    pub fn of(self: &Arc<Self>, network: Network) -> Portion {
        // A panic under the lock leaves the map consistent: each change concerns one entry.
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = networks.get(&network).and_then(Weak::upgrade);
        let held = known.unwrap_or_else(|| {
            let held = Arc::new(Held { network, taken: AtomicUsize::new(0), shares: Arc::downgrade(self) });
            networks.insert(network, Arc::downgrade(&held));
            held
        });
        drop(networks);
        Portion { shares: self.clone(), held: Some(held) }
    }

    /// The portion of a caller who acts for many networks: all that is free.
    pub fn of_many(self: &Arc<Self>) -> Portion {
        Portion { shares: self.clone(), held: None }
    }

    /// The amount that is taken by all.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(&self, held: Option<&Held>, amount: usize) -> bool {
        let Some(held) = held else { return add(&self.taken, amount, self.most) };
        if !add(&held.taken, amount, self.most_of_one) {
            return false;
        }
        let taken = add(&self.taken, amount, self.most);
        if !taken {
            held.taken.fetch_sub(amount, Ordering::Relaxed);
        }
        taken
    }

    fn forget(&self, network: Network) {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        // Another caller of the same network may have come meanwhile.
        if networks.get(&network).is_some_and(|held| held.strong_count() == 0) {
            networks.remove(&network);
        }
    }
}

/// Adds the amount, unless the sum exceeds `most`.
fn add(taken: &AtomicUsize, amount: usize, most: usize) -> bool {
    let sum = |taken: usize| taken.checked_add(amount).filter(|sum| *sum <= most);
    taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
}

impl Portion {
    /// Takes an amount, if it is free.
    pub fn take(&self, amount: usize) -> Option<Taken> {
        self.shares.take(self.held.as_deref(), amount).then(|| Taken { portion: self.clone(), amount })
    }
}

impl Taken {
    /// Takes more. If that fails, the amount taken before stays.
    pub fn take(&mut self, more: usize) -> bool {
        let taken = self.portion.shares.take(self.portion.held.as_deref(), more);
        if taken {
            self.amount += more;
        }
        taken
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.portion.shares.taken.fetch_sub(self.amount, Ordering::Relaxed);
        if let Some(held) = &self.portion.held {
            held.taken.fetch_sub(self.amount, Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(shares) = self.shares.upgrade() {
            shares.forget(self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(number: u8) -> Network {
        Network::of([192, 0, 2, number].into())
    }

    #[test]
    fn one_network_gets_its_share_and_leaves_the_rest_to_others() {
        let shares = Shares::new(10, 4);
        let (one, again, other) = (shares.of(network(1)), shares.of(network(1)), shares.of(network(2)));
        let mut first = one.take(3).unwrap();
        assert!(again.take(2).is_none());
        assert!(first.take(1) && !first.take(1));
        let _second = other.take(4).unwrap();
        assert!(shares.of(network(3)).take(3).is_none(), "there are two left");
        let many = shares.of_many();
        let _rest = many.take(2).unwrap();
        assert!(many.take(1).is_none());
        drop(first);
        assert!(again.take(4).is_some());
        assert!(many.take(4).is_some());
    }

    #[test]
    fn networks_without_callers_are_forgotten() {
        let shares = Shares::new(10, 4);
        let taken = shares.of(network(1)).take(1).unwrap();
        let portion = shares.of(network(2));
        assert_eq!(shares.networks.lock().unwrap().len(), 2);
        drop((taken, portion));
        assert_eq!(shares.networks.lock().unwrap().len(), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_the_most_and_all_of_it_comes_back(
            steps in prop::collection::vec((0_u8..4, 0_usize..6, any::<bool>()), 0..60),
        ) {
            let shares = Shares::new(20, 7);
            let mut taken: Vec<(u8, Taken)> = Vec::new();
            for (number, amount, give_back) in steps {
                if give_back && !taken.is_empty() {
                    taken.remove(amount % taken.len());
                    continue;
                }
                let all: usize = taken.iter().map(|(_, taken)| taken.amount).sum();
                let own: usize = taken.iter().filter(|(of, _)| *of == number).map(|(_, taken)| taken.amount).sum();
                let got = shares.of(network(number)).take(amount);
                prop_assert_eq!(got.is_some(), all + amount <= 20 && own + amount <= 7);
                taken.extend(got.map(|got| (number, got)));
            }
            drop(taken);
            prop_assert_eq!(shares.taken.load(Ordering::Relaxed), 0);
            prop_assert!(shares.networks.lock().unwrap().is_empty());
        }
    }
}
