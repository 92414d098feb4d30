//! WEB_AUTHN as a first factor: a challenge asks for the signature of a passkey. One read, and no write.
//!
//! Where the client hides which users exist, whoever has no passkey is asked for one that was made up.

use std::collections::BTreeMap;

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::{Answer, AuthResponse, Challenge};
use crate::app::auth::asked::Asked;
use crate::app::auth::named::Named;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::{admission, machine, passkeys};
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::error::Error;
use crate::store::read::Snapshot;
use crate::tokens::challenge_token;

/// A sign-in by a passkey that was asked for.
pub struct Asking<'a> {
    named: Named<'a>,
    found: FirstRead<Snapshot>,
}

/// Finds the user, whose passkey is asked for.
pub async fn prepare<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Asking<'a>, Failure> {
    let named = Named::new(app, caller, asked).await?;
    let found = FirstRead::new(named.read(app).await?);
    Ok(Asking { named, found })
}

impl Asking<'_> {
    /// Asks for the signature of a passkey.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        let found = self.found.or(self.named.read(app)).await?;
        let at = app.clock.now();
        let (client, limited) = self.named.check(app, &found, at)?;
        let sign_in = self.named.sign_in(&found, &client, limited.as_ref(), at);
        machine::refuse_by_name(app, sign_in, self.named.stands_for_name).await?;
        admission::ask(app, caller, &self.named, sign_in).await?;
        Ok(Response::from(Answer::Challenge(self.issue(app, sign_in)?)))
    }

    fn issue(&self, app: &App, sign_in: SignIn<'_>) -> Result<Challenge, Error> {
        let (pool, name) = (sign_in.pool(), ChallengeName::WebAuthn);
        let session = self.named.session(app, sign_in, name, None);
        let options = passkeys::options(sign_in, &session, self.named.stands_for_name)?;
        let options = options.ok_or_else(|| Error::invalid_parameter("WEB_AUTHN is not available to the user."))?;
        let session = challenge_token::seal(&pool.id, &pool.keys, &session, &app.random)?;
        let parameters = BTreeMap::from([("CREDENTIAL_REQUEST_OPTIONS".to_owned(), options)]);
        Ok(Challenge { name, session: Some(session), parameters, available: Vec::new() })
    }
}
