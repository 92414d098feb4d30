//! The flows that begin a sign-in: one file per flow.

mod choice;
mod confirmed;
mod custom;
mod one_time_code;
mod password;
pub mod refresh;
mod srp;
mod web_authn;

use crate::app::auth::answer::{Answer, AuthResponse};
use crate::app::auth::asked::Asked;
use crate::app::auth::flows::choice::Choice;
use crate::app::auth::flows::confirmed::Confirmed;
use crate::app::auth::flows::one_time_code::Asking;
use crate::app::auth::flows::password::Guess;
use crate::app::auth::flows::srp::Begun;
use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::auth::AuthFlow;
use crate::domain::auth::first_factor::FirstFactor;
use crate::domain::message::Medium;

/// A flow whose slow work is done.
pub enum Prepared<'a> {
    /// A password flow, with the password compared.
    Password(Box<Guess<'a>>),
    /// A flow by SRP, with the server's public value.
    Srp(Box<Begun<'a>>),
    /// A flow by a code that is sent.
    OneTimeCode(Box<Asking<'a>>),
    /// A flow of a user whom a code has just confirmed.
    Confirmed(Box<Confirmed<'a>>),
    /// A flow by a passkey.
    WebAuthn(Box<web_authn::Asking<'a>>),
    /// A flow with a choice that is still to be made.
    Choice(Box<Choice<'a>>),
    /// A flow by custom challenges.
    Custom(Box<custom::Begun<'a>>),
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
        AuthFlow::User => match asked.session {
            Some(token) => Ok(Prepared::Confirmed(Box::new(confirmed::prepare(app, caller, asked, token).await?))),
            None => by_choice(app, caller, asked).await,
        },
        AuthFlow::Custom => Ok(match custom::prepare(app, caller, asked).await? {
            custom::Prepared::Custom(begun) => Prepared::Custom(begun),
            custom::Prepared::Srp(asked) => Prepared::Srp(Box::new(srp::prepare(app, caller, *asked).await?)),
        }),
        AuthFlow::RefreshToken => Ok(Prepared::Refresh(Box::new(asked))),
    }
}

/// Begins with the preferred factor if the request has all that it needs, and asks otherwise.
async fn by_choice<'a>(app: &App, caller: &Caller, asked: Asked<'a>) -> Result<Prepared<'a>, Failure> {
    match choice::preferred(app, &asked).await? {
        Some(factor) if choice::is_given(&asked, factor) => begin(app, caller, asked, factor).await,
        preferred => Ok(Prepared::Choice(Box::new(choice::prepare(app, caller, asked, preferred).await?))),
    }
}

/// Begins with a first factor that was chosen.
pub async fn begin<'a>(
    app: &App,
    caller: &Caller,
    asked: Asked<'a>,
    factor: FirstFactor,
) -> Result<Prepared<'a>, Failure> {
    let asked = Asked { chosen: Some(factor), ..asked };
    Ok(match factor {
        FirstFactor::Password => Prepared::Password(Box::new(password::prepare(app, caller, asked).await?)),
        FirstFactor::EmailOtp => {
            Prepared::OneTimeCode(Box::new(one_time_code::prepare(app, caller, asked, Medium::Email).await?))
        }
        FirstFactor::SmsOtp => {
            Prepared::OneTimeCode(Box::new(one_time_code::prepare(app, caller, asked, Medium::Sms).await?))
        }
        FirstFactor::WebAuthn => Prepared::WebAuthn(Box::new(web_authn::prepare(app, caller, asked).await?)),
        FirstFactor::PasswordSrp => Prepared::Srp(Box::new(srp::prepare(app, caller, asked).await?)),
    })
}

impl Prepared<'_> {
    /// Begins the sign-in, or refreshes tokens.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        match self {
            Self::Password(guess) => guess.settle(app, caller).await,
            Self::Srp(begun) => begun.settle(app).await,
            Self::OneTimeCode(asking) => asking.settle(app, caller).await,
            Self::Confirmed(confirmed) => confirmed.settle(app, caller).await,
            Self::WebAuthn(asking) => asking.settle(app, caller).await,
            Self::Choice(choice) => choice.settle(app, caller).await,
            Self::Custom(begun) => begun.settle(app, caller).await,
            Self::Refresh(asked) => Ok(Answer::Tokens(Box::new(refresh::by_flow(app, caller, asked).await?)).into()),
        }
    }
}
