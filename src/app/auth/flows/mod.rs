//! The flows that begin a sign-in: one file per flow.

mod password;
pub mod refresh;
mod srp;

use crate::app::auth::answer::{Answer, AuthResponse};
use crate::app::auth::asked::Asked;
use crate::app::auth::flows::password::Guess;
use crate::app::auth::flows::srp::Begun;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::AuthFlow;

/// A flow whose slow work is done.
pub enum Prepared<'a> {
    /// A password flow, with the password compared.
    Password(Box<Guess<'a>>),
    /// A flow by SRP, with the server's public value.
    Srp(Box<Begun<'a>>),
    /// A refresh, which has no slow work.
    Refresh(Box<Asked<'a>>),
}

/// Does the slow work of a flow.
pub async fn prepare<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Prepared<'a>, Failure> {
    match asked.flow {
        AuthFlow::UserPassword | AuthFlow::AdminUserPassword => {
            Ok(Prepared::Password(Box::new(password::prepare(app, caller, asked).await?)))
        }
        AuthFlow::UserSrp => Ok(Prepared::Srp(Box::new(srp::prepare(app, caller, asked).await?))),
        AuthFlow::RefreshToken => Ok(Prepared::Refresh(Box::new(asked))),
    }
}

impl Prepared<'_> {
    /// Begins the sign-in, or refreshes tokens.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        match self {
            Self::Password(guess) => guess.settle(app, caller).await,
            Self::Srp(begun) => begun.settle(app).await,
            Self::Refresh(asked) => Ok(Answer::Tokens(Box::new(refresh::by_flow(app, caller, asked).await?)).into()),
        }
    }
}
