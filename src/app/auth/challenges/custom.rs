//! The answer to CUSTOM_CHALLENGE, which the pool's triggers judge.

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::Answering;
use crate::app::auth::machine::custom::{self, Given};
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::{App, Failure};
use crate::domain::auth::required_parameter;
use crate::domain::trigger::metadata;
use crate::store::read::Wanted;

/// An answer that a person gives.
pub struct Custom<'a> {
    answering: Answering<'a>,
    answer: &'a str,
    _alone: OneGuess,
}

/// Waits until it is this answer's turn.
pub async fn prepare<'a>(app: &App, caller: &Caller, answering: Answering<'a>) -> Result<Custom<'a>, Failure> {
    let answer = required_parameter(answering.responses(), "ANSWER")?;
    let alone = answering.alone(app, caller).await?;
    Ok(Custom { answering, answer, _alone: alone })
}

impl Custom<'_> {
    /// Goes on as the triggers say: with another challenge, with tokens, or with a refusal.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        let at = app.clock.now();
        let found = self.answering.read_for_guess(app, Wanted::default()).await?;
        let begun = self.answering.check_begun(app, &found, at).await?;
        let sign_in = self.answering.sign_in_begun(&found, &begun, at);
        let given = Given { answer: self.answer, client_metadata: metadata(sign_in.client_metadata) };
        custom::hear(app, caller, sign_in, begun.session, given).await
    }
}
