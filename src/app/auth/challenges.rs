//! Challenges on their way out and back: nothing is written until an answer has an outcome.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::app::auth::answer::{Answer, Challenge};
use crate::app::auth::new_password::{self, NewPassword};
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::app_client::AppClient;
use crate::domain::auth::challenge::{ChallengeName, ChallengeSession, expires_at};
use crate::domain::auth::{AuthFlow, required_parameter};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, Sub, UserPoolId};
use crate::domain::time::Timestamp;
use crate::domain::user::{User, choose_new_password};
use crate::store::cache::PoolView;
use crate::store::metadata::Origin;
use crate::store::seal;
use crate::tokens::challenge_token;

/// What a sign-in remembers of its beginning.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// The flow.
    pub flow: AuthFlow,
    /// Who stands for the name as this network calls it.
    pub told: Option<Sub>,
}

/// Issues a challenge to a user who has proved the password.
pub fn issue(
    app: &App,
    pool: &PoolView,
    client: &AppClient,
    user: &User,
    beginning: Beginning,
    name: ChallengeName,
    at: Timestamp,
) -> Result<Answer, Error> {
    let session = ChallengeSession {
        nonce: app.random.uuid(),
        challenge: name,
        flow: beginning.flow,
        client_id: client.client_id.clone(),
        sub: user.sub,
        password_id: password_id(user)?.ok_or_else(|| Error::internal("a challenge after no password"))?,
        told: beginning.told,
        expires_at: expires_at(client, at),
    };
    let session = challenge_token::seal(&pool.id, &pool.keys, &session, &app.random)?;
    let parameters = match name {
        ChallengeName::NewPasswordRequired => choose_new_password::parameters(&pool.state, client, user),
    };
    Ok(Answer::Challenge(Challenge { name, session, parameters }))
}

/// Which password a user has. Another one has another id; hashing it again leaves it as it is.
pub(super) fn password_id(user: &User) -> Result<Option<Uuid>, Error> {
    let verifier = user.password.as_ref().map(|password| &password.srp_verifier);
    verifier.map(seal::blob_id).transpose().map_err(Error::internal)
}

/// The answer to a challenge, as it came.
pub struct Response<'a> {
    /// The pool.
    pub pool_id: UserPoolId,
    /// The client.
    pub client_id: ClientId,
    /// The challenge, by its name.
    pub challenge_name: &'a str,
    /// The challenge token.
    pub session: Option<&'a str>,
    /// The answers.
    pub responses: &'a BTreeMap<String, String>,
    /// Who answers, from where.
    pub origin: Origin,
    /// Where the person is, as a trusted server says that answers for it.
    pub server: Option<Server<'a>>,
}

/// A trusted server that signs a person in.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The person's address, as the server says.
    pub person_address: Option<&'a str>,
}

/// An answer whose slow work is done.
pub enum Prepared<'a> {
    /// Another password, hashed.
    NewPassword(Box<NewPassword<'a>>),
}

/// Does the slow work of an answer.
pub async fn prepare<'a>(app: &App, caller: &Caller, response: Response<'a>) -> Result<Prepared<'a>, Failure> {
    match ChallengeName::of(response.challenge_name)? {
        ChallengeName::NewPasswordRequired => {
            Ok(Prepared::NewPassword(Box::new(new_password::prepare(app, caller, response).await?)))
        }
    }
}

impl Prepared<'_> {
    /// Takes the answer.
    pub async fn settle<Given: From<Answer> + prost::Message>(
        &self,
        app: &App,
        caller: &Caller,
    ) -> Result<Given, Failure> {
        match self {
            Self::NewPassword(answer) => answer.settle(app, caller).await,
        }
    }
}

impl<'a> Response<'a> {
    /// The challenge token, which every challenge that is built needs.
    pub fn session(&self) -> Result<&'a str, Error> {
        self.session.ok_or_else(|| Error::invalid_parameter("Missing required parameter Session"))
    }

    /// An answer that is needed.
    pub fn required(&self, name: &'static str) -> Result<&'a str, Error> {
        required_parameter(self.responses, name)
    }

    /// The proof that the client knows its secret.
    pub fn secret_hash(&self) -> Option<&'a str> {
        self.responses.get("SECRET_HASH").map(String::as_str)
    }
}
