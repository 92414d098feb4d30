//! The answer to WEB_AUTHN: what a passkey has signed.

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::Answering;
use crate::app::auth::machine;
use crate::app::caller::Caller;
use crate::app::guesses::OneGuess;
use crate::app::{App, Failure};
use crate::domain::auth::required_parameter;
use crate::domain::web_authn::Assertion;
use crate::store::read::Wanted;

/// An assertion that a browser gives.
pub struct WebAuthn<'a> {
    answering: Answering<'a>,
    assertion: Assertion,
    _alone: OneGuess,
}

/// Reads the assertion, and waits until it is its turn.
pub async fn prepare<'a>(app: &App, caller: &Caller, answering: Answering<'a>) -> Result<WebAuthn<'a>, Failure> {
    let assertion = Assertion::parse(required_parameter(answering.responses(), "CREDENTIAL")?)?;
    let alone = answering.alone(app, caller).await?;
    Ok(WebAuthn { answering, assertion, _alone: alone })
}

impl WebAuthn<'_> {
    /// Signs the user in, asks for what is missing, or refuses the guess.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let at = app.clock.now();
        let found = self.answering.read_for_guess(app, Wanted::default()).await?;
        let begun = self.answering.check_begun(app, &found, at).await?;
        let sign_in = self.answering.sign_in_begun(&found, &begun, at);
        machine::hear_passkey(app, caller, sign_in, begun.session, &self.assertion).await
    }
}
