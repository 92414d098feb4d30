//! The answer to SELECT_MFA_TYPE: the second factor that the person wants to prove.

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::Answering;
use crate::app::auth::machine;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::required_parameter;
use crate::domain::error::Error;
use crate::store::read::Wanted;

/// A choice among second factors.
pub struct SelectMfaType<'a> {
    answering: Answering<'a>,
    choice: &'a str,
}

/// Reads the choice; there is no slow work.
pub fn prepare(answering: Answering<'_>) -> Result<SelectMfaType<'_>, Error> {
    let choice = required_parameter(answering.responses(), "ANSWER")?;
    Ok(SelectMfaType { answering, choice })
}

impl SelectMfaType<'_> {
    /// Asks for the chosen factor.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let at = app.clock.now();
        let found = self.answering.read(app, Wanted::default()).await?;
        let fitting = self.answering.check(app, &found, at).await?;
        let sign_in = self.answering.sign_in(&found, &fitting, at);
        machine::hear_choice(app, caller, sign_in, (&fitting.user, fitting.session), self.choice).await
    }
}
