//! The result of replaying a stream, independent of its aggregate.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::domain::user_pool::NameRules;
use crate::store::history::{self, HistoryError};
use crate::store::models::{Derived, Modelled};
use crate::store::seal::DataKey;

/// The rows of a stream, from its first event on.
pub struct StreamRows<'a> {
    /// The id of the stream's pool.
    pub pool: &'a UserPoolId,
    /// The name of the stream.
    pub stream: &'a StreamId,
    /// All rows of the stream, in order.
    pub rows: Vec<history::Row>,
    /// The key of the events' personal parts, if it still exists.
    pub key: Option<&'a Arc<DataKey>>,
    /// The rules for comparing names, unless the pool was deleted.
    pub rules: Option<&'a NameRules>,
}

/// The result of replaying a stream.
#[derive(Default)]
pub struct Replayed {
    /// The version of the last event.
    pub version: i64,
    /// The revision of `apply` that computed the state.
    pub revision: i32,
    /// The content of the read model; `None` if the aggregate has ended.
    pub state: Option<Value>,
    /// The values that are derived from the state.
    pub derived: Derived,
    /// The number of events.
    pub events: usize,
    /// The first version without an event, if there is a gap.
    pub gap: Option<i64>,
}

/// Replays the events of a stream.
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

/// The values that are derived from the state in a row.
pub fn derive<A: Modelled>(state: Value, rules: &NameRules) -> serde_json::Result<Derived> {
    Ok(serde_json::from_value::<A>(state)?.derived(rules))
}
