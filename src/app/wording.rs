//! The words of the messages that a call sends: those of the pool's templates, or of its custom message trigger.

use crate::app::App;
use crate::app::afterwards::afterwards;
use crate::app::caller::Caller;
use crate::app::triggers::{self, Subject};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, Sub};
use crate::domain::time::Timestamp;
use crate::domain::trigger::custom_message::CustomMessage;
use crate::domain::trigger::{self, Source, Texts, Trigger};
use crate::domain::user::User;
use crate::proto::events::user_event::Event;
use crate::store::cache::PoolView;

/// What the trigger is told about the messages of a call.
#[derive(Clone, Copy, Debug)]
pub struct Wording<'a> {
    /// Why messages are sent.
    pub source: Source,
    /// The pool that sends them.
    pub pool: &'a PoolView,
    /// The app client of the call, unless it goes through none.
    pub client_id: Option<&'a ClientId>,
    /// The name that messages show, if it is not the user name.
    pub shown: Option<&'a str>,
    /// The metadata that the call gives.
    pub metadata: &'a Texts,
}

impl Wording<'_> {
    /// The decision with messages in the words of the pool's trigger. Without the trigger, or without messages, it is the
    /// same decision. A call asks once, however many messages it sends.
    ///
    /// If the trigger refuses, nothing of the decision happens.
    pub async fn of<Activity, Answer>(
        &self,
        app: &App,
        caller: &Caller,
        (sub, before): (Sub, Option<&User>),
        decision: Decision<Event, Activity, Answer>,
        at: Timestamp,
    ) -> Result<Decision<Event, Activity, Answer>, Error> {
        if decision.messages().is_empty() || !triggers::is_on(self.pool, Trigger::CustomMessage) {
            return Ok(decision);
        }
        let user = afterwards((sub, before), &decision, at)?;
        let subject = Subject { pool: self.pool, user_name: user.username(), client_id: self.client_id };
        let metadata = trigger::metadata(self.metadata);
        let question = CustomMessage::new(self.source, user.trigger_attributes(), metadata);
        let Some(texts) = triggers::ask(app, caller, subject, &question).await? else { return Ok(decision) };
        let shown = self.shown.unwrap_or_else(|| user.username());
        decision.with_each_message(|message| texts.applied(self.source, shown, message))
    }
}
