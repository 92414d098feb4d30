//! What the events of a stream yield, whichever aggregate they are of.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::user_pool::NameRules;
use crate::store::history::{self, HistoryError};
use crate::store::models::{Derived, Modelled};
use crate::store::seal::DataKey;

/// The rows of a stream, from its first event on.
pub struct StreamRows<'a> {
    /// The pool.
    pub pool: &'a UserPoolId,
    /// The stream.
    pub stream: &'a StreamId,
    /// Its rows.
    pub rows: Vec<history::Row>,
    /// What opens the personal part of its events, if it is still there.
    pub key: Option<&'a Arc<DataKey>>,
    /// How names are compared, in a pool that lives.
    pub rules: Option<&'a NameRules>,
}

/// What they yield.
#[derive(Default)]
pub struct Replayed {
    /// The version of the last event.
    pub version: i64,
    /// The revision of `apply` that it comes from.
    pub revision: i32,
    /// What the read model holds; nothing once it has ended.
    pub state: Option<Value>,
    /// What follows from the state besides.
    pub derived: Derived,
    /// How many events there are.
    pub events: usize,
    /// The first version that is missing.
    pub gap: Option<i64>,
}

/// Applies the events of a stream.
pub fn replay<A: Modelled>(stream: StreamRows<'_>) -> Result<Replayed, HistoryError> {
    let StreamRows { pool, stream, rows, key, rules } = stream;
    let events = history::events::<A::Event>(rows, pool, stream, key)?;
    let gap = (1_i64..).zip(&events).find(|(expected, recorded)| recorded.version != *expected);
    let (state, version) = history::replay::<A>(stream, &events);
    let derived = state.as_ref().zip(rules).map(|(state, rules)| state.derived(rules));
    Ok(Replayed {
        version,
        revision: A::REVISION,
        derived: derived.unwrap_or_default(),
        state: state.map(|state| serde_json::to_value(state)).transpose().map_err(HistoryError::State)?,
        events: events.len(),
        gap: gap.map(|(expected, _)| expected),
    })
}

/// What follows from a state that is read from its row.
pub fn derive<A: Modelled>(state: Value, rules: &NameRules) -> serde_json::Result<Derived> {
    Ok(serde_json::from_value::<A>(state)?.derived(rules))
}
