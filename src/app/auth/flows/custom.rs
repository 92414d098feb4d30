//! CUSTOM_AUTH: the pool's triggers say which challenges there are. One read, and no write.
//!
//! A sign-in that begins with SRP_A goes on like USER_SRP_AUTH if the triggers want the password to be proved first.

use crate::app::attempts::FirstRead;
use crate::app::auth::answer::AuthResponse;
use crate::app::auth::asked::Asked;
use crate::app::auth::machine::custom::{self, Round};
use crate::app::auth::named::Named;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::{admission, srp};
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::custom::History;
use crate::domain::auth::session::Proofs;
use crate::domain::error::Error;
use crate::store::read::Snapshot;

/// A sign-in by custom challenges.
pub struct Begun<'a> {
    named: Named<'a>,
    history: History,
    found: FirstRead<Snapshot>,
}

/// How a sign-in goes on.
pub enum Prepared<'a> {
    /// By a proof of the password.
    Srp(Box<Asked<'a>>),
    /// By what the triggers say.
    Custom(Box<Begun<'a>>),
}

/// Finds the user. If the client begins with SRP_A, asks the triggers whether the password is proved first.
pub async fn prepare<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Prepared<'a>, Failure> {
    let history = match asked.parameters.get("CHALLENGE_NAME").map(String::as_str) {
        None | Some("CUSTOM_CHALLENGE") => History::default(),
        Some("SRP_A") => {
            srp::public_value(asked.parameters)?;
            History::begun_by_srp()
        }
        Some(_) => {
            return Err(Error::invalid_parameter("CHALLENGE_NAME must be SRP_A or CUSTOM_CHALLENGE.").into());
        }
    };
    let named = Named::new(app, caller, asked).await?;
    let found = named.read(app).await?;
    let begun = Begun { named, history, found: FirstRead::none() };
    if begun.asks_for_password(app, caller, &found).await? {
        return Ok(Prepared::Srp(Box::new(begun.named.asked)));
    }
    Ok(Prepared::Custom(Box::new(Begun { found: FirstRead::new(found), ..begun })))
}

impl Begun<'_> {
    async fn asks_for_password(&self, app: &App, caller: &Caller, found: &Snapshot) -> Result<bool, Failure> {
        if self.history == History::default() {
            return Ok(false);
        }
        let at = app.clock.now();
        let (client, limited) = self.named.check(app, found, at)?;
        let sign_in = self.named.sign_in(found, &client, limited.as_ref(), at);
        custom::check_configured(sign_in.pool())?;
        if custom::is_refused(&sign_in) {
            return Ok(false);
        }
        admission::ask(app, caller, &self.named, sign_in).await?;
        Ok(custom::asks_for_password(app, caller, sign_in, &self.round()).await?)
    }

    /// Asks for the first challenge, signs the user in, or refuses the sign-in: as the triggers say.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        let found = self.found.or(self.named.read(app)).await?;
        let at = app.clock.now();
        let (client, limited) = self.named.check(app, &found, at)?;
        let sign_in: SignIn<'_> = self.named.sign_in(&found, &client, limited.as_ref(), at);
        custom::check_configured(sign_in.pool())?;
        custom::refuse_early(app, sign_in, self.named.stands_for_name).await?;
        admission::ask(app, caller, &self.named, sign_in).await?;
        custom::next(app, caller, sign_in, self.round()).await
    }

    fn round(&self) -> Round<'_> {
        Round {
            written: self.named.username,
            stands_for_name: self.named.stands_for_name,
            proofs: Proofs::default(),
            history: self.history.clone(),
            client_metadata: None,
            answer: None,
        }
    }
}
