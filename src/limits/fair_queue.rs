//! A queue in which groups take turns, and members within a group: a member with a hundred waiters delays others by
//! one.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::Hash;

/// The waiters, in the order of their turns.
#[derive(Debug)]
pub struct FairQueue<Group, Member, Waiter> {
    groups: Ring<Group, Ring<Member, VecDeque<Waiter>>>,
    bounds: Bounds,
}

/// The most waiters of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most waiters of all members together.
    pub most: usize,
    /// The most waiters of one member.
    pub most_of_one: usize,
}

/// Lines that take turns; no line is empty.
#[derive(Debug)]
struct Ring<Key, Line> {
    turns: VecDeque<Key>,
    lines: HashMap<Key, Line>,
}

/// The number of waiters in a line of either level.
trait Waiting {
    fn waiting(&self) -> usize;
}

impl<Waiter> Waiting for VecDeque<Waiter> {
    fn waiting(&self) -> usize {
        self.len()
    }
}

impl<Key, Line: Waiting> Waiting for Ring<Key, Line> {
    fn waiting(&self) -> usize {
        self.lines.values().map(Waiting::waiting).sum()
    }
}

impl<Key, Line> Default for Ring<Key, Line> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), lines: HashMap::new() }
    }
}

impl<Key: Clone + Eq + Hash, Line: Waiting + Default> Ring<Key, Line> {
    /// How many waiters of all lines come before a waiter who has `own` waiters of its own line before it.
    fn ahead(&self, key: &Key, own: usize) -> usize {
        // A new line gets its turn after all others.
        let position = self.turns.iter().position(|turn| turn == key).unwrap_or(self.turns.len());
        let before = |(index, turn): (usize, &Key)| {
            let turns = own + usize::from(index < position);
            self.lines.get(turn).map_or(0, |line| line.waiting().min(turns))
        };
        own + self.turns.iter().enumerate().filter(|(index, _)| *index != position).map(before).sum::<usize>()
    }

    fn line(&mut self, key: &Key) -> &mut Line {
        match self.lines.entry(key.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.turns.push_back(key.clone());
                entry.insert(Line::default())
            }
        }
    }

    /// Takes a waiter from the line whose turn it is. The line then moves behind all others.
    fn next<Waiter>(&mut self, take: impl FnOnce(&mut Line) -> Option<Waiter>) -> Option<Waiter> {
        let key = self.turns.pop_front()?;
        let line = self.lines.get_mut(&key)?;
        let waiter = take(line);
        if line.waiting() == 0 {
            self.lines.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        waiter
    }

    /// Changes a line, and removes it if it becomes empty.
    fn change<Out>(&mut self, key: &Key, change: impl FnOnce(&mut Line) -> Option<Out>) -> Option<Out> {
        let line = self.lines.get_mut(key)?;
        let out = change(line);
        if line.waiting() == 0 {
            self.lines.remove(key);
            self.turns.retain(|turn| turn != key);
        }
        out
    }
}

impl<Group: Clone + Eq + Hash, Member: Clone + Eq + Hash, Waiter> FairQueue<Group, Member, Waiter> {
    /// An empty queue with these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { groups: Ring::default(), bounds }
    }

    /// The number of waiters.
    pub fn len(&self) -> usize {
        self.groups.waiting()
    }

    /// Whether the queue has no waiters.
    pub fn is_empty(&self) -> bool {
        self.groups.turns.is_empty()
    }

    /// How many waiters would come before a new one; `None` if the queue takes no more.
    pub fn ahead(&self, group: &Group, member: &Member) -> Option<usize> {
        let members = self.groups.lines.get(group);
        let own = members.and_then(|members| members.lines.get(member)).map_or(0, VecDeque::len);
        if own >= self.bounds.most_of_one || self.groups.waiting() >= self.bounds.most {
            return None;
        }
        let of_group = members.map_or(0, |members| members.ahead(member, own));
        Some(self.groups.ahead(group, of_group))
    }

    /// Adds a waiter. The caller has checked [`Self::ahead`] before.
    pub fn push(&mut self, group: &Group, member: &Member, waiter: Waiter) {
        self.groups.line(group).line(member).push_back(waiter);
    }

    /// Takes the next waiter.
    pub fn pop(&mut self) -> Option<Waiter> {
        self.groups.next(|members| members.next(VecDeque::pop_front))
    }

    /// Removes a waiter that gives up.
    pub fn remove(&mut self, group: &Group, member: &Member, which: impl Fn(&Waiter) -> bool) -> Option<Waiter> {
        self.groups.change(group, |members| {
            members.change(member, |line| {
                let at = line.iter().position(which)?;
                line.remove(at)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { most: 40, most_of_one: 10 };

    type Queue = FairQueue<u8, u8, (u8, u8, usize)>;

    fn push(queue: &mut Queue, group: u8, member: u8, number: usize) {
        queue.push(&group, &member, (group, member, number));
    }

    fn drained(queue: &mut Queue) -> Vec<(u8, u8, usize)> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn groups_take_turns_and_members_take_turns_within_them() {
        let mut queue = Queue::new(BOUNDS);
        for number in 0..3 {
            push(&mut queue, 1, 1, number);
        }
        push(&mut queue, 1, 2, 3);
        push(&mut queue, 2, 1, 4);
        push(&mut queue, 2, 1, 5);
        let order: Vec<_> = drained(&mut queue).into_iter().map(|(_, _, number)| number).collect();
        assert_eq!(order, [0, 4, 3, 5, 1, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_member_waits_for_only_one_of_a_hundred_waiters_of_another() {
        let mut queue = Queue::new(Bounds { most: 1000, most_of_one: 100 });
        for number in 0..100 {
            push(&mut queue, 1, 1, number);
        }
        assert_eq!(queue.ahead(&1, &1), None);
        assert_eq!(queue.ahead(&1, &2), Some(1));
        assert_eq!(queue.ahead(&2, &1), Some(1));
    }

    #[test]
    fn the_queue_takes_no_waiters_beyond_its_bounds() {
        let mut queue = Queue::new(BOUNDS);
        for number in 0..40 {
            assert!(queue.ahead(&0, &(number as u8 / 10)).is_some());
            push(&mut queue, 0, number as u8 / 10, number);
        }
        assert_eq!(queue.ahead(&0, &9), None);
        assert_eq!(queue.pop(), Some((0, 0, 0)));
        assert_eq!(queue.ahead(&0, &9), Some(4));
        assert_eq!(queue.ahead(&0, &1), None);
    }

    proptest! {
        /// The returned number is exactly the number of waiters that are taken first, whoever joined and left earlier.
        #[test]
        fn exactly_the_waiters_ahead_are_taken_first(
            steps in prop::collection::vec((0_u8..4, 0_u8..4, 0_u8..4), 0..80), group in 0_u8..5, member in 0_u8..5,
        ) {
            let mut queue = Queue::new(BOUNDS);
            let mut there = Vec::new();
            for (number, (group, member, what)) in steps.into_iter().enumerate() {
                match what {
                    0 => {
                        let popped = queue.pop();
                        prop_assert_eq!(popped.is_none(), there.is_empty());
                        there.retain(|waiter| Some(*waiter) != popped);
                    }
                    1 => {
                        let gone = queue.remove(&group, &member, |_| true);
                        there.retain(|waiter| Some(*waiter) != gone);
                    }
                    _ if queue.ahead(&group, &member).is_some() => {
                        push(&mut queue, group, member, number);
                        there.push((group, member, number));
                    }
                    _ => {}
                }
            }
            let ahead = queue.ahead(&group, &member);
            let own = there.iter().filter(|waiter| (waiter.0, waiter.1) == (group, member)).count();
            prop_assert_eq!(ahead.is_none(), own >= BOUNDS.most_of_one || there.len() >= BOUNDS.most);
            push(&mut queue, group, member, usize::MAX);
            let order = drained(&mut queue);
            prop_assert_eq!(order.len(), there.len() + 1);
            let position = order.iter().position(|waiter| waiter.2 == usize::MAX);
            prop_assert!(ahead.is_none() || ahead == position, "{ahead:?} {position:?}");
            // The waiters of each member come in the order in which they joined.
            for (at, waiter) in order.iter().enumerate() {
                prop_assert!(order[..at].iter().all(|before| (before.0, before.1) != (waiter.0, waiter.1) || before.2 < waiter.2));
            }
        }
    }
}
