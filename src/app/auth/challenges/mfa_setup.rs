//! The answer to MFA_SETUP: an authenticator app was set up by the session.

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::Answering;
use crate::app::auth::machine;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::store::read::Wanted;

/// The end of a set-up.
pub struct MfaSetup<'a> {
    answering: Answering<'a>,
}

/// Takes the answer; there is no slow work.
pub fn prepare(answering: Answering<'_>) -> MfaSetup<'_> {
    MfaSetup { answering }
}

impl MfaSetup<'_> {
    /// Continues the sign-in, if the session has set up a factor.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let at = app.clock.now();
        let found = self.answering.read(app, Wanted::default()).await?;
        let fitting = self.answering.check(app, &found, at).await?;
        let sign_in = self.answering.sign_in(&found, &fitting, at);
        machine::hear_set_up(app, caller, sign_in, (&fitting.user, fitting.session)).await
    }
}
