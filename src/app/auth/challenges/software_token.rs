//! The answer to SOFTWARE_TOKEN_MFA: the code that an authenticator app shows.

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::Answering;
use crate::app::auth::machine;
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::{App, Failure};
use crate::domain::auth::required_parameter;
use crate::store::read::Wanted;

/// A code of an authenticator app.
pub struct SoftwareToken<'a> {
    answering: Answering<'a>,
    code: &'a str,
    _alone: OneGuess,
}

/// Waits until it is this guess's turn.
pub async fn prepare<'a>(app: &App, caller: &Caller, answering: Answering<'a>) -> Result<SoftwareToken<'a>, Failure> {
    let code = required_parameter(answering.responses(), "SOFTWARE_TOKEN_MFA_CODE")?;
    let alone = answering.alone(app, caller).await?;
    Ok(SoftwareToken { answering, code, _alone: alone })
}

impl SoftwareToken<'_> {
    /// Continues the sign-in if the code is right and was not used, and counts the guess if not.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let at = app.clock.now();
        let found = self.answering.read_for_guess(app, Wanted::default()).await?;
        let fitting = self.answering.check(app, &found, at).await?;
        let sign_in = self.answering.sign_in(&found, &fitting, at);
        machine::hear_software_token(app, caller, sign_in, (&fitting.user, fitting.session), self.code).await
    }
}
