//! USER_SRP_AUTH: one read, one exponentiation, and no write. The answer to PASSWORD_VERIFIER is the guess.

use std::collections::BTreeMap;

use crate::app::attempts::FirstRead;
use crate::app::auth::admission;
use crate::app::auth::answer::{Answer, AuthResponse, Challenge};
use crate::app::auth::asked::Asked;
use crate::app::auth::machine;
use crate::app::auth::named::Named;
use crate::app::auth::sign_in::SignIn;
use crate::app::auth::srp::{Basis, public_value};
use crate::app::caller::Caller;
use crate::app::hashing::forms::lacks_verifier;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::required_parameter;
use crate::domain::auth::session::Exchange;
use crate::domain::auth::srp::exchange::{self, PublicValue, ServerSecret};
use crate::domain::error::Error;
use crate::store::cache::ClientView;
use crate::store::error::StoreError;
use crate::store::read::Snapshot;
use crate::tokens::secret_block;

/// An exchange that a client has asked for; the server's public value is made.
pub struct Begun<'a> {
    named: Named<'a>,
    found: FirstRead<Snapshot>,
    /// Absent if the sign-in will be refused without it.
    made: Option<Made>,
}

struct Made {
    exchange: Exchange,
    salt: [u8; 16],
}

/// Makes the server's public value, unless the sign-in will be refused without it.
pub async fn prepare<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Begun<'a>, Failure> {
    required_parameter(asked.parameters, "USERNAME")?;
    let client = public_value(asked.parameters)?;
    app.hasher.refuse_beyond(&caller.turn(&asked.pool_id)).await?;
    let named = Named::new(app, caller, asked).await?;
    let mut begun = Begun { named, found: FirstRead::none(), made: None };
    let found = begun.read(app).await?;
    begun.made = begun.make(app, caller, &found, client).await?;
    begun.found = FirstRead::new(found);
    Ok(begun)
}

impl Begun<'_> {
    /// In Cognito, no user can be named by a `sub` here, unless it is the user name.
    async fn read(&self, app: &App) -> Result<Snapshot, StoreError> {
        let found = self.named.read(app).await?;
        let is_by_sub = found.user.as_ref().is_some_and(|user| {
            let sub = user.state.sub.to_string();
            self.named.username.eq_ignore_ascii_case(&sub) && user.state.username() != sub
        });
        if is_by_sub { self.named.read_nobody(app).await } else { Ok(found) }
    }

    async fn make(
        &self,
        app: &App,
        caller: &Caller,
        found: &Snapshot,
        client: PublicValue,
    ) -> Result<Option<Made>, Failure> {
        let at = app.clock.now();
        let (view, limited) = self.named.check(app, found, at)?;
        let sign_in = self.named.sign_in(found, &view, limited.as_ref(), at);
        if machine::is_refused_by_name(&sign_in) {
            return Ok(None);
        }
        admission::ask(app, caller, &self.named, sign_in).await?;
        let of_user = found.user.as_ref().map(|user| Basis::of_user(&found.pool, user)).transpose()?.flatten();
        let Basis { verifier, password, user_id } =
            of_user.unwrap_or_else(|| Basis::made_up(&found.pool, self.named.username));
        let (salt, secret) = (verifier.salt, ServerSecret(app.random.bytes()));
        let exponent = secret.clone();
        let begin = move || exchange::begin(&verifier, &exponent);
        let server = app.hasher.work(&caller.turn(&found.pool.id), begin).await?;
        Ok(Some(Made { exchange: Exchange { user_id, password, client, secret, server }, salt }))
    }

    /// Asks for the proof, or refuses the sign-in.
    pub async fn settle<Response: AuthResponse>(&self, app: &App) -> Result<Response, Failure> {
        let found = self.found.or(self.read(app)).await?;
        let at = app.clock.now();
        let (client, limited) = self.named.check(app, &found, at)?;
        let sign_in = self.named.sign_in(&found, &client, limited.as_ref(), at);
        machine::refuse_by_name(app, sign_in, self.named.stands_for_name).await?;
        self.check_verifier(&found, &client)?;
        let made = self.made.as_ref().ok_or(Failure::Outdated)?;
        Ok(Response::from(Answer::Challenge(self.issue(app, sign_in, made)?)))
    }

    /// Says that there is no verifier yet, unless that would show that there is a user.
    fn check_verifier(&self, found: &Snapshot, client: &ClientView) -> Result<(), Error> {
        match &found.user {
            Some(user) if !client.state.hides_users() && lacks_verifier(&found.pool, user)? => {
                Err(Error::not_authorized("The user has to sign in by USER_PASSWORD_AUTH once before SRP can be used."))
            }
            _ => Ok(()),
        }
    }

    fn issue(&self, app: &App, sign_in: SignIn<'_>, made: &Made) -> Result<Challenge, Error> {
        let pool = sign_in.pool();
        let Made { exchange, salt } = made;
        let session = self.named.session(app, sign_in, ChallengeName::PasswordVerifier, Some(exchange.clone()));
        let parameters = [
            ("SALT", hex::encode(salt)),
            ("SECRET_BLOCK", secret_block::seal(&pool.id, &pool.keys, &session, &app.random)?),
            ("SRP_B", exchange.server.to_hex()),
            ("USERNAME", exchange.user_id.clone()),
            ("USER_ID_FOR_SRP", exchange.user_id.clone()),
        ];
        let parameters: BTreeMap<_, _> = parameters.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Challenge { name: ChallengeName::PasswordVerifier, session: None, parameters, available: Vec::new() })
    }
}
