//! The answer to NEW_PASSWORD_REQUIRED: one read, one hash, one commit.

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::answering::{Answering, Fitting};
use crate::app::auth::machine;
use crate::app::auth::step::{Answered, Step};
use crate::app::caller::Caller;
use crate::app::hashing::forms::{self, PasswordForms};
use crate::app::{App, Failure};
use crate::domain::attributes::Attributes;
use crate::domain::auth::required_parameter;
use crate::domain::error::Error;
use crate::domain::time::Timestamp;
use crate::domain::user::{choose_new_password as rules, password_history};
use crate::proto::v1::AttributeType;
use crate::store::error::StoreError;
use crate::store::read::{Snapshot, Wanted};

/// An answer whose new password is hashed.
pub struct NewPassword<'a> {
    asked: Asked<'a>,
    found: FirstRead<Snapshot>,
    forms: PasswordForms,
}

/// An answer as the caller sent it.
struct Asked<'a> {
    answering: Answering<'a>,
    password: &'a str,
    written: Vec<AttributeType>,
}

/// Checks an answer and hashes its password.
pub async fn prepare<'a>(app: &App, caller: &Caller, answering: Answering<'a>) -> Result<NewPassword<'a>, Failure> {
    let responses = answering.responses();
    let (password, written) = (required_parameter(responses, "NEW_PASSWORD")?, rules::written_attributes(responses));
    let asked = Asked { answering, password, written };
    let found = asked.read(app).await?;
    let user = asked.check(app, &found, app.clock.now()).await?.0.user;
    let forms = PasswordForms::of_next(app, caller, &found.pool, &user, password).await?;
    Ok(NewPassword { asked, found: FirstRead::new(found), forms })
}

impl Asked<'_> {
    async fn read(&self, app: &App) -> Result<Snapshot, StoreError> {
        let names = rules::possible_names(&self.answering.name_rules(app).await?, &self.written);
        self.answering.read(app, Wanted { taken: &names, ..Wanted::default() }).await
    }

    async fn check(&self, app: &App, found: &Snapshot, at: Timestamp) -> Result<(Fitting<'_>, Attributes), Error> {
        let fitting = self.answering.check(app, found, at).await?;
        let (pool, client, user) = (&found.pool.state, &fitting.client.state, &fitting.user.state);
        let attributes = rules::check(pool, client, user, self.password, &self.written, &found.taken)?;
        Ok((fitting, attributes))
    }
}

impl NewPassword<'_> {
    /// Replaces a temporary password by the user's own, and continues the sign-in.
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
        let (asked, at) = (&self.asked, app.clock.now());
        let found = self.found.or(asked.read(app)).await?;
        let (fitting, attributes) = asked.check(app, &found, at).await?;
        let password = self.forms.seal_next(app, &found.pool, &fitting.user)?;
        let proofs = fitting.session.proofs.with_new_password(forms::id_of(Some(&password))?);
        let sign_in = asked.answering.sign_in(&found, &fitting, at);
        let chosen = rules::choose_new_password(attributes, password);
        let decision = password_history::retire(&found.pool.state, &fitting.user.state).then(chosen);
        let step = Step { proofs, answered: Some(Answered::by(fitting.session, decision)) };
        machine::advance(app, caller, sign_in, &fitting.user, step).await
    }
}
