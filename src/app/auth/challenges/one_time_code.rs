//! The answers to EMAIL_OTP and SMS_OTP where the code stands for the password.

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
pub struct OneTimeCode<'a> {
    answering: Answering<'a>,
    medium: Medium,
    code: &'a str,
    _alone: OneGuess,
}

/// Waits until it is this guess's turn.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    answering: Answering<'a>,
    medium: Medium,
) -> Result<OneTimeCode<'a>, Failure> {
    let parameter = match medium {
        Medium::Sms => "SMS_OTP_CODE",
        Medium::Email => "EMAIL_OTP_CODE",
    };
    let code = required_parameter(answering.responses(), parameter)?;
    let alone = answering.alone(app, caller).await?;
    Ok(OneTimeCode { answering, medium, code, _alone: alone })
}

impl OneTimeCode<'_> {
    /// Signs the user in, asks for what is missing, or refuses the guess.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let at = app.clock.now();
        let wanted = Wanted { code: Some(codes::sign_in(self.medium)), ..Wanted::default() };
        let found = self.answering.read_for_guess(app, wanted).await?;
        let begun = self.answering.check_begun(app, &found, at).await?;
        let sign_in = self.answering.sign_in_begun(&found, &begun, at);
        machine::hear_one_time_code(app, caller, sign_in, begun.session, (self.medium, self.code)).await
    }
}
