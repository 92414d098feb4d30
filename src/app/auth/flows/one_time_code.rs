//! EMAIL_OTP and SMS_OTP as a first factor: a code is sent to who asks for it. One read and one commit.
//!
//! Where the client hides which users exist, a code is stored and counted for any name, and nothing tells whether it was
//! sent.

use std::collections::BTreeMap;

use crate::app::auth::admission;
use crate::app::auth::answer::{Answer, AuthResponse, Challenge};
use crate::app::auth::asked::Asked;
use crate::app::auth::machine;
use crate::app::auth::named::Named;
use crate::app::caller::Caller;
use crate::app::{App, Failure, codes};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::one_time_code::{OneTimeCode, one_time_code};
use crate::domain::message::Medium;
use crate::domain::trigger::custom_message;
use crate::domain::user::codes as rules;
use crate::tokens::challenge_token;

/// A code that was asked for.
pub struct Asking<'a> {
    named: Named<'a>,
    medium: Medium,
}

/// Finds out whose name it is.
pub async fn prepare<'a>(app: &App, caller: &Caller, asked: Asked<'a>, medium: Medium) -> Result<Asking<'a>, Failure> {
    Ok(Asking { named: Named::new(app, caller, asked).await?, medium })
}

impl Asking<'_> {
    /// Sends a code, and asks for it.
    pub async fn settle<Response: AuthResponse>(&self, app: &App, caller: &Caller) -> Result<Response, Failure> {
        let (named, medium, at) = (&self.named, self.medium, app.clock.now());
        let purpose = rules::sign_in(medium);
        let found = named.read_with_code(app, purpose).await?;
        let (client, limited) = named.check(app, &found, at)?;
        let sign_in = named.sign_in(&found, &client, limited.as_ref(), at);
        machine::refuse_by_name(app, sign_in, named.stands_for_name).await?;
        admission::ask(app, caller, named, sign_in).await?;
        let challenge = match medium {
            Medium::Email => ChallengeName::EmailOtp,
            Medium::Sms => ChallengeName::SmsOtp,
        };
        let session = named.session(app, sign_in, challenge, None);
        let session = challenge_token::seal(&found.pool.id, &found.pool.keys, &session, &app.random)?;
        let code = app.random.code();
        let disguise = codes::disguise(&found.pool.keys, named.stands_for_name);
        let asked = OneTimeCode {
            username: named.username,
            medium,
            hides_users: client.state.hides_users(),
            disguise: &disguise,
            code: &code,
            at,
        };
        let decision = one_time_code(&found.pool.state, found.user.as_ref().map(|user| &user.state), &asked);
        let origin = &named.asked.origin;
        let through = named.through_client(found.clone(), client.clone());
        let (client_id, source, metadata) =
            (&named.asked.client_id, custom_message::AUTHENTICATION, sign_in.client_metadata);
        let request = codes::Request { named: &through, origin, client_id, source, metadata, purpose, code: &code, at };
        let delivery = request.answer(app, caller, decision).await?;
        let parameters = [
            ("CODE_DELIVERY_DELIVERY_MEDIUM", delivery.delivery_medium().to_owned()),
            ("CODE_DELIVERY_DESTINATION", delivery.destination().to_owned()),
        ];
        let parameters: BTreeMap<_, _> = parameters.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Response::from(Answer::Challenge(Challenge {
            name: challenge,
            session: Some(session),
            parameters,
            available: Vec::new(),
        })))
    }
}
