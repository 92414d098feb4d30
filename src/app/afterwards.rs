//! A user as a decision leaves them, before it is written.

use crate::domain::decision::{Decision, replay};
use crate::domain::error::Error;
use crate::domain::ids::{StreamId, Sub};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::proto::events::user_event::Event;

/// The user after what a decision appends. Only a decision that deletes nobody is asked for this.
pub fn afterwards<Activity, Answer>(
    (sub, before): (Sub, Option<&User>),
    decision: &Decision<Event, Activity, Answer>,
    at: Timestamp,
) -> Result<User, Error> {
    let events = decision.happened().iter().map(|event| (event, at));
    let after = replay(before.cloned(), &StreamId::user(sub), events);
    after.ok_or_else(|| Error::internal("a decision about a user leaves none"))
}
