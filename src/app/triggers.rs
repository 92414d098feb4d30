//! Asking the triggers of a pool.

use crate::app::App;
use crate::app::caller::Caller;
use crate::domain::error::Error;
use crate::domain::ids::ClientId;
use crate::domain::trigger::notice::Notice;
use crate::domain::trigger::reply::{answer, silent};
use crate::domain::trigger::{About, Question, Trigger, event};
use crate::store::cache::PoolView;
use crate::triggers::{Call, Unanswered};

/// Whom a question is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The pool of the user.
    pub pool: &'a PoolView,
    /// The user name; the `sub` where addresses are names. Of an unknown user, what was typed.
    pub user_name: &'a str,
    /// The app client, unless the operation goes through none.
    pub client_id: Option<&'a ClientId>,
}

impl<'a> Subject<'a> {
    fn about(self) -> About<'a> {
        About {
            region: &self.pool.state.region,
            user_pool_id: self.pool.id.as_str(),
            user_name: self.user_name,
            client_id: self.client_id.map(ClientId::as_str),
        }
    }
}

/// What a trigger of the pool is told, unless the pool has none.
pub fn notice<Q: Question>(subject: Subject<'_>, question: &Q) -> Result<Option<Notice>, Error> {
    let trigger = question.source().trigger;
    let Some(function) = function(subject.pool, trigger) else { return Ok(None) };
    let event = event(subject.about(), question).map_err(Error::internal)?;
    let event = String::from_utf8(event).map_err(Error::internal)?;
    Ok(Some(Notice { trigger, function: function.to_owned(), event }))
}

/// Whether a pool has this trigger.
pub fn is_on(pool: &PoolView, trigger: Trigger) -> bool {
    function(pool, trigger).is_some()
}

fn function(pool: &PoolView, trigger: Trigger) -> Option<&str> {
    pool.state.settings.lambda_config.as_ref().and_then(|config| trigger.function(config))
}

/// Asks a trigger of the pool, unless the pool has none. A call asks each question once, however often it is decided:
/// the answer of the first time counts.
///
/// `UserLambdaValidationException` if the trigger refuses, `InvalidLambdaResponseException` if its answer makes no sense,
/// `UnexpectedLambdaException` if it does not answer, and `TooManyRequestsException` if too many calls of its function
/// are under way.
pub async fn ask<Q: Question>(
    app: &App,
    caller: &Caller,
    subject: Subject<'_>,
    question: &Q,
) -> Result<Option<Q::Answer>, Error> {
    let source = question.source();
    let trigger = source.trigger;
    let Some(function) = function(subject.pool, trigger) else { return Ok(None) };
    let event = event(subject.about(), question).map_err(Error::internal)?;
    let call = Call {
        trigger,
        function,
        user_pool_id: subject.pool.id.as_str(),
        event: &event,
        trace_context: caller.trace_context,
    };
    let reply = caller.asked.once(source, app.triggers.ask(call)).await.map_err(|unanswered| match unanswered {
        Unanswered::Silence | Unanswered::NoBrokers => silent(trigger),
        Unanswered::Crowded => Error { limit: Some("by_function"), ..Error::too_many_requests() },
    })?;
    answer(question, &reply).map(Some)
}
