//! The answers to EMAIL_OTP, SMS_OTP and SMS_MFA: the code that was sent. It stands for the password where the session has
//! proved nothing yet, and is the second factor otherwise.

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::Answering;
use crate::app::auth::machine;
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::{App, Failure};
use crate::domain::auth::required_parameter;
use crate::domain::message::Medium;
use crate::domain::user::codes;
use crate::store::read::Wanted;

/// A code that a person gives.
pub struct SentCode<'a> {
    answering: Answering<'a>,
    medium: Medium,
    code: &'a str,
    _alone: OneGuess,
}

/// Reads the code that was sent by this medium, and waits until it is this guess's turn.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    answering: Answering<'a>,
    (medium, parameter): (Medium, &'static str),
) -> Result<SentCode<'a>, Failure> {
    let code = required_parameter(answering.responses(), parameter)?;
    let alone = answering.alone(app, caller).await?;
    Ok(SentCode { answering, medium, code, _alone: alone })
}

impl SentCode<'_> {
    /// Continues the sign-in if the code is right, and counts the guess if it is not.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let (answering, given, at) = (&self.answering, (self.medium, self.code), app.clock.now());
        let wanted = Wanted { code: Some(codes::sign_in(self.medium)), ..Wanted::default() };
        let found = answering.read_for_guess(app, wanted).await?;
        if answering.is_first_proof() {
            let begun = answering.check_begun(app, &found, at).await?;
            let sign_in = answering.sign_in_begun(&found, &begun, at);
            return machine::hear_one_time_code(app, caller, sign_in, begun.session, given).await;
        }
        let fitting = answering.check(app, &found, at).await?;
        let sign_in = answering.sign_in(&found, &fitting, at);
        machine::hear_code(app, caller, sign_in, (&fitting.user, fitting.session), given).await
    }
}
