//! The next records of one log.

use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::kafka::cloud_event::{Poison, Record, record};
use crate::store::feed::{Cursor, FeedRow, Log};

/// Records of one log in the order of its feed, up to the first that can't be published.
#[derive(Debug)]
pub(super) struct Batch {
    /// Which log.
    pub log: Log,
    /// The records.
    pub records: Vec<Record>,
    /// Where the log is published up to, once these are.
    pub reached: Option<Cursor>,
    /// When the first of what is not published happened.
    pub oldest: Option<Timestamp>,
    /// What follows and can't be published.
    pub poison: Option<Poisoned>,
}

/// An event that can't be published.
#[derive(Debug)]
pub(super) struct Poisoned {
    /// Its id.
    pub event_id: Uuid,
    /// Its type.
    pub kind: String,
    /// Why.
    pub why: Poison,
}

impl Batch {
    /// Whether there were as many rows as are read at once: more may wait.
    pub(super) fn is_full(&self, most: i64) -> bool {
        i64::try_from(self.records.len()).is_ok_and(|records| records >= most)
    }

    /// Makes records of rows.
    pub(super) fn new(log: Log, rows: Vec<FeedRow>) -> Self {
        let oldest = rows.first().map(|row| row.at);
        let mut batch = Self { log, records: Vec::with_capacity(rows.len()), reached: None, oldest, poison: None };
        for row in rows {
            match record(log, &row) {
                Ok(record) => {
                    batch.records.push(record);
                    batch.reached = Some(row.cursor);
                }
                Err(why) => {
                    batch.poison = Some(Poisoned { event_id: row.event_id, kind: row.kind, why });
                    break;
                }
            }
        }
        batch
    }
}
