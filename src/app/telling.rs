//! Telling the triggers that decide nothing: with the command's own commit, or after it.
//!
//! What is told is written to the outbox by the commit, so it happens if and only if the command does. Where the operator
//! wants a trigger to be awaited, it is asked after the commit, as in Cognito; its error is returned, and the state stays.

use std::sync::Arc;

use crate::app::afterwards::afterwards;
use crate::app::caller::Caller;
use crate::app::triggers::{self, Subject};
use crate::app::{App, Failure};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, Sub};
use crate::domain::time::Timestamp;
use crate::domain::trigger::post_confirmation::PostConfirmation;
use crate::domain::trigger::{self, Question, Source, Texts, Trigger};
use crate::domain::user::User;
use crate::proto::events::user_event::Event;
use crate::store::cache::PoolView;
use crate::store::commit::Settlement;
use crate::store::loaded::LoadedUser;
use crate::store::seal::DataKey;

/// Whom a trigger is told of.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The user, in their pool.
    pub subject: Subject<'a>,
    /// The user's id.
    pub sub: Sub,
    /// The user's data key.
    pub key: &'a Arc<DataKey>,
}

impl<'a> Told<'a> {
    /// A user as they were read.
    pub fn of(pool: &'a PoolView, user: &'a LoadedUser, client_id: Option<&'a ClientId>) -> Self {
        let subject = Subject { pool, user_name: user.state.username(), client_id };
        Self { subject, sub: user.state.sub, key: &user.key }
    }

    /// Settles a command, and tells the trigger of it if it is accepted. There is no question if the pool has no such
    /// trigger.
    pub async fn settle<Answer: prost::Message, Q: Question>(
        &self,
        app: &App,
        caller: &Caller,
        settlement: Settlement<Answer>,
        question: Option<Q>,
    ) -> Result<Answer, Failure> {
        let Some(question) = question else { return app.store.settle(settlement).await };
        if is_awaited(app, question.source().trigger) {
            let answer = app.store.settle(settlement).await?;
            triggers::ask(app, caller, self.subject, &question).await?;
            return Ok(answer);
        }
        let notice = triggers::notice(self.subject, &question)?;
        app.store.settle(settlement.telling(self.sub, self.key, notice)).await
    }

    /// Asks a trigger that is awaited, after a sign-in that was no commit.
    pub async fn ask_afterwards<Q: Question>(
        &self,
        app: &App,
        caller: &Caller,
        question: Option<Q>,
    ) -> Result<(), Error> {
        match question {
            Some(question) => triggers::ask(app, caller, self.subject, &question).await.map(drop),
            None => Ok(()),
        }
    }
}

/// What post confirmation is told of a decision; nothing if it is refused, or if the pool has no such trigger.
pub fn confirmation<Activity, Answer>(
    pool: &PoolView,
    source: Source,
    whose: (Sub, Option<&User>),
    (decision, at): (&Decision<Event, Activity, Answer>, Timestamp),
    metadata: &Texts,
) -> Result<Option<PostConfirmation>, Error> {
    if decision.accepted().is_none() || !triggers::is_on(pool, Trigger::PostConfirmation) {
        return Ok(None);
    }
    let attributes = afterwards(whose, decision, at)?.trigger_attributes();
    Ok(Some(PostConfirmation::new(source, attributes, trigger::metadata(metadata))))
}

/// Whether the operator wants callers to wait for this trigger.
pub fn is_awaited(app: &App, trigger: Trigger) -> bool {
    match trigger {
        Trigger::PostConfirmation => app.settings.awaited.post_confirmation,
        Trigger::PostAuthentication => app.settings.awaited.post_authentication,
        _ => false,
    }
}
