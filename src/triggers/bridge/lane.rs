//! The records of each partition: in order for each key, and kept until they are done.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How many records of a partition are open at once. Then the partition waits.
const MOST: usize = 128;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub number: i32,
}

/// The lanes of the partitions that this process has.
#[derive(Debug, Default)]
pub struct Lanes(Mutex<HashMap<Partition, Arc<Lane>>>);

/// The open records of one partition.
#[derive(Debug, Default)]
pub struct Lane {
    ended: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: BTreeSet<i64>,
    /// The offset behind the newest record.
    next: i64,
    keys: HashMap<Vec<u8>, Last>,
    waits: bool,
}

/// The last record of a key.
#[derive(Debug)]
struct Last {
    offset: i64,
    /// Closed when the record is done.
    done: oneshot::Receiver<()>,
}

/// The place of one record. Dropping it without [`Turn::end`] leaves the record open, so that it comes again.
#[derive(Debug)]
pub struct Turn {
    lane: Arc<Lane>,
    offset: i64,
    key: Vec<u8>,
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Lanes {
    /// The lane of a partition.
    pub fn of(&self, partition: &Partition) -> Arc<Lane> {
        self.lanes().entry(partition.clone()).or_default().clone()
    }

    /// Another process has the partition from now on.
    pub fn end(&self, partition: &Partition) {
        if let Some(lane) = self.lanes().remove(partition) {
            lane.ended.cancel();
        }
    }

    /// This process ends.
    pub fn end_all(&self) {
        self.lanes().drain().for_each(|(_, lane)| lane.ended.cancel());
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Partition, Arc<Lane>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Takes a record in. Records come by rising offset.
    pub fn enter(self: &Arc<Self>, key: &[u8], offset: i64) -> Turn {
        let (sender, done) = oneshot::channel();
        let mut state = self.state();
        state.open.insert(offset);
        state.next = offset + 1;
        let before = state.keys.insert(key.to_vec(), Last { offset, done }).map(|last| last.done);
        Turn { lane: self.clone(), offset, key: key.to_vec(), before, _done: sender }
    }

    /// Whether the partition has to wait from now on, because too many records are open.
    pub fn is_filled(&self) -> bool {
        let mut state = self.state();
        let is_filled = !state.waits && state.open.len() >= MOST;
        state.waits |= is_filled;
        is_filled
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until earlier records of the key are done. False if the partition is another process's meanwhile.
    pub async fn comes(&mut self) -> bool {
        let ended = self.lane.ended.clone();
        if let Some(before) = &mut self.before {
            tokio::select! {
                _ = before => {}
                () = ended.cancelled() => {}
            }
        }
        !ended.is_cancelled()
    }

    /// Waits until the partition is another process's.
    pub fn ended(&self) -> CancellationToken {
        self.lane.ended.clone()
    }

    /// The record is done. `store` is told the offset before which all records are done. True if the partition waits, and
    /// may go on now.
    pub fn end(self, store: impl FnOnce(i64)) -> bool {
        let mut state = self.lane.state();
        state.open.remove(&self.offset);
        if state.keys.get(&self.key).is_some_and(|last| last.offset == self.offset) {
            state.keys.remove(&self.key);
        }
        if self.lane.ended.is_cancelled() {
            return false;
        }
        // Under the lock, so that positions are stored in their order.
        store(state.open.first().copied().unwrap_or(state.next));
        let may_go_on = state.waits && state.open.len() <= MOST / 2;
        state.waits &= !may_go_on;
        may_go_on
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn stored(turn: Turn) -> Option<i64> {
        let mut stored = None;
        turn.end(|position| stored = Some(position));
        stored
    }

    #[tokio::test]
    async fn records_of_a_key_come_one_after_another_and_other_keys_go_on() {
        let lane = Arc::new(Lane::default());
        let mut first = lane.enter(b"a", 10);
        let mut second = lane.enter(b"a", 11);
        let mut third = lane.enter(b"a", 12);
        let mut other = lane.enter(b"b", 13);
        assert!(first.comes().await && other.comes().await);
        assert!(second.comes().now_or_never().is_none() && third.comes().now_or_never().is_none());
        stored(first);
        assert!(second.comes().await && third.comes().now_or_never().is_none());
        stored(second);
        assert!(third.comes().await);
        stored(third);
        stored(other);
        assert!(lane.state().keys.is_empty() && lane.state().open.is_empty());
    }

    #[tokio::test]
    async fn the_position_is_that_of_the_first_record_that_is_not_done() {
        let lane = Arc::new(Lane::default());
        let [one, two, three] = [(b"a", 10), (b"b", 11), (b"c", 15)].map(|(key, offset)| lane.enter(key, offset));
        assert_eq!(stored(two), Some(10));
        assert_eq!(stored(one), Some(15));
        assert_eq!(stored(three), Some(16));
    }

    #[tokio::test]
    async fn nothing_is_stored_for_a_partition_that_another_process_has() {
        let lanes = Lanes::default();
        let partition = Partition { topic: "t".to_owned(), number: 3 };
        let mut first = lanes.of(&partition).enter(b"a", 10);
        let mut second = lanes.of(&partition).enter(b"a", 11);
        lanes.end(&partition);
        assert!(!first.comes().await && !second.comes().await);
        assert_eq!(stored(first), None);
        assert!(lanes.of(&partition).enter(b"a", 10).comes().await, "it may come back");
    }

    #[test]
    fn a_partition_waits_while_too_many_records_are_open() {
        let lane = Arc::new(Lane::default());
        let mut turns: Vec<_> = (0..MOST).map(|offset| lane.enter(&offset.to_be_bytes(), offset as i64)).collect();
        assert!(lane.is_filled());
        assert!(!lane.is_filled(), "it waits already");
        let mut goes_on = turns.drain(..MOST / 2).map(|turn| turn.end(|_| {}));
        assert!(goes_on.by_ref().take(MOST / 2 - 1).all(|goes_on| !goes_on));
        assert_eq!(goes_on.next(), Some(true));
    }
}
