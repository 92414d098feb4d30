//! The answers to challenges: one file a challenge.

mod new_password;

use std::collections::BTreeMap;

use crate::app::auth::answer::AuthResponse;
use crate::app::auth::challenges::new_password::NewPassword;
use crate::app::caller::Caller;
use crate::app::whence::Server;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::required_parameter;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::store::metadata::Origin;

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
    pub async fn settle<Given: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Given, Failure> {
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
