//! USER_AUTH, as long as the first factor is not given: a challenge asks for the preferred one, or for the choice. It
//! writes nothing.

use std::collections::BTreeMap;

use crate::app::attempts::FirstRead;
use crate::app::auth::admission;
use crate::app::auth::answer::{Answer, AuthResponse, Challenge};
use crate::app::auth::asked::Asked;
use crate::app::auth::machine;
use crate::app::auth::named::Named;
use crate::app::auth::sign_in::SignIn;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::first_factor::FirstFactor;
use crate::domain::error::Error;
use crate::store::cache::PoolView;
use crate::store::read::{Snapshot, Wanted};
use crate::tokens::challenge_token;

/// A sign-in whose first factor is still to be chosen, or to be given.
pub struct Choice<'a> {
    named: Named<'a>,
    preferred: Option<FirstFactor>,
    found: FirstRead<Snapshot>,
}

/// Finds the user, whose choice is asked for.
pub async fn prepare<'a>(
    app: &App,
    caller: &Caller,
    asked: Asked<'a>,
    preferred: Option<FirstFactor>,
) -> Result<Choice<'a>, Failure> {
    let named = Named::new(app, caller, asked).await?;
    let found = FirstRead::new(named.read(app).await?);
    Ok(Choice { named, preferred, found })
}

/// The factor that the caller prefers, if the pool has it: else the caller is asked to choose.
pub async fn preferred(app: &App, asked: &Asked<'_>) -> Result<Option<FirstFactor>, Failure> {
    let name = asked.parameters.get("PREFERRED_CHALLENGE").filter(|name| !name.is_empty());
    let factor = name.map(|name| FirstFactor::by_name("PREFERRED_CHALLENGE", name)).transpose()?;
    let Some(factor) = factor else { return Ok(None) };
    let is_there = |pool: &PoolView| FirstFactor::available(&pool.state).contains(&factor);
    // The pool in memory may be an older one: what it lacks is looked for in the database.
    let hint = app.store.pool_hint(&asked.pool_id).await?;
    let known = is_there(&hint) || is_there(&app.store.read(&asked.pool_id, None, Wanted::default()).await?.pool);
    Ok(known.then_some(factor))
}

/// Whether the request has what the factor can't do without. A code needs nothing more: it is sent. Nor does a passkey: it is
/// asked for.
pub fn is_given(asked: &Asked<'_>, factor: FirstFactor) -> bool {
    match factor {
        FirstFactor::Password => asked.parameters.contains_key("PASSWORD"),
        FirstFactor::PasswordSrp => asked.parameters.contains_key("SRP_A"),
        FirstFactor::EmailOtp | FirstFactor::SmsOtp | FirstFactor::WebAuthn => true,
    }
}

impl Choice<'_> {
    /// Asks for the preferred factor, or for the choice among all that the pool allows.
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
        let pool = sign_in.pool();
        let available = FirstFactor::available(&pool.state);
        let preferred = self.preferred.filter(|factor| available.contains(factor));
        let (name, available) = match preferred {
            Some(factor) => (factor.challenge(), Vec::new()),
            None => (ChallengeName::SelectChallenge, available),
        };
        let session = self.named.session(app, sign_in, name, None);
        let session = challenge_token::seal(&pool.id, &pool.keys, &session, &app.random)?;
        let available = available.into_iter().map(|factor| factor.challenge().name().to_owned()).collect();
        Ok(Challenge { name, session: Some(session), parameters: BTreeMap::new(), available })
    }
}
