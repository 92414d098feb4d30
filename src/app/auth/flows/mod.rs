//! The flows that begin a sign-in: one file per flow.

mod password;
pub mod refresh;

use std::collections::BTreeMap;

use crate::app::auth::answer::{Answer, AuthResponse};
use crate::app::auth::flows::password::Guess;
use crate::app::caller::Caller;
use crate::app::whence::Server;
use crate::app::{App, Failure};
use crate::domain::auth::AuthFlow;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::store::metadata::Origin;

/// A flow as the caller asked for it.
pub struct Asked<'a> {
    /// The flow that `AuthFlow` names.
    pub flow: AuthFlow,
    /// The pool that the client belongs to, or that the server names.
    pub pool_id: UserPoolId,
    /// The client that the request names.
    pub client_id: ClientId,
    /// The caller, for what the flow writes.
    pub origin: Origin,
    /// The trusted server that signs the person in; absent if the client does so itself.
    pub server: Option<Server<'a>>,
    /// The parameters of the flow, by the names of `AuthParameters`.
    pub parameters: &'a BTreeMap<String, String>,
}

/// A flow whose slow work is done.
pub enum Prepared<'a> {
    /// A password flow, with the password compared.
    Password(Box<Guess<'a>>),
    /// A refresh, which has no slow work.
    Refresh(Box<Asked<'a>>),
}

/// Does the slow work of a flow.
pub async fn prepare<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Prepared<'a>, Failure> {
    match asked.flow {
        AuthFlow::UserPassword | AuthFlow::AdminUserPassword => {
            Ok(Prepared::Password(Box::new(password::prepare(app, caller, asked).await?)))
        }
        AuthFlow::RefreshToken => Ok(Prepared::Refresh(Box::new(asked))),
    }
}

impl Prepared<'_> {
    /// Begins the sign-in, or refreshes tokens.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        match self {
            Self::Password(guess) => guess.settle(app, caller).await,
            Self::Refresh(asked) => Ok(Answer::Tokens(Box::new(refresh::by_flow(app, caller, asked).await?)).into()),
        }
    }
}
