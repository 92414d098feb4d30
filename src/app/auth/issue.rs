//! Issues a challenge: its token holds the whole state of the sign-in. Only a challenge that sends a code writes
//! something.

use std::collections::BTreeMap;

use crate::app::auth::answer::Challenge;
use crate::app::auth::sign_in::SignIn;
use crate::app::caller::Caller;
use crate::app::codes::{self, NewCode};
use crate::app::wording::Wording;
use crate::app::{App, Failure};
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::session::{ChallengeSession, Proofs, expires_at};
use crate::domain::decision::Decision;
use crate::domain::error::Error;
use crate::domain::message::{self, Medium, authentication_message};
use crate::domain::personal::Personal;
use crate::domain::second_factor::SecondFactor;
use crate::domain::source::Source;
use crate::domain::trigger::custom_message;
use crate::domain::user::{User, choose_new_password, codes as rules};
use crate::proto::events::user_activity::Activity;
use crate::proto::events::user_event::Event;
use crate::store::commit::OperationalRow;
use crate::store::read::Wanted;
use crate::tokens::challenge_token;

/// Only a flow asks for a first proof, only triggers for a custom challenge, and only the answer to DEVICE_SRP_AUTH for the proof of a device.
#[derive(Debug, thiserror::Error)]
#[error("a step asked for a proof that no step can ask for")]
struct NotOfAStep;

/// A challenge that was issued, and what is written for it.
pub struct Issued {
    /// The challenge, as the caller gets it.
    pub challenge: Challenge,
    /// The code that is sent with it, if its answer is one.
    pub sent: Option<Sent>,
}

/// A code that is sent: what is written for it.
pub struct Sent {
    /// The message with the code, and the fact that it was sent.
    pub decision: Decision<Event, Activity, ()>,
    /// The code itself, and the limits that it uses up.
    pub rows: Vec<OperationalRow>,
}

/// A challenge to a user, with what the caller needs in order to answer.
pub async fn issue(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    (user, proofs): (&User, Proofs),
    name: ChallengeName,
) -> Result<Issued, Failure> {
    let (pool, client) = (sign_in.pool(), &sign_in.client.state);
    let (parameters, sent) = match name {
        ChallengeName::SelectChallenge
        | ChallengeName::Password
        | ChallengeName::PasswordSrp
        | ChallengeName::SmsOtp
        | ChallengeName::WebAuthn
        | ChallengeName::Custom
        | ChallengeName::PasswordVerifier
        | ChallengeName::DevicePasswordVerifier => return Err(Error::internal(NotOfAStep).into()),
        ChallengeName::DeviceSrpAuth => (device_parameters(sign_in, user), None),
        ChallengeName::NewPasswordRequired => (choose_new_password::parameters(&pool.state, client, user), None),
        ChallengeName::SmsMfa => send_code(app, caller, sign_in, user, Medium::Sms).await?,
        ChallengeName::EmailOtp => send_code(app, caller, sign_in, user, Medium::Email).await?,
        ChallengeName::SoftwareTokenMfa => (parameters(user, device_name(user)), None),
        ChallengeName::SelectMfaType => {
            let choices = SecondFactor::listed(&user.usable_factors(&pool.state));
            (parameters(user, [("MFAS_CAN_CHOOSE", choices)]), None)
        }
        ChallengeName::MfaSetup => {
            let choices = SecondFactor::listed(&pool.state.second_factors());
            (parameters(user, [("MFAS_CAN_SETUP", choices)]), None)
        }
    };
    let session = ChallengeSession {
        nonce: app.random.uuid(),
        challenge: name,
        flow: sign_in.flow,
        client_id: client.client_id.clone(),
        sub: user.sub,
        proofs,
        told: sign_in.told,
        exchange: None,
        custom: None,
        device: sign_in.device().map(|device| device.state.id),
        expires_at: expires_at(client, sign_in.at),
    };
    let session = challenge_token::seal(&pool.id, &pool.keys, &session, &app.random)?;
    Ok(Issued { challenge: Challenge { name, session: Some(session), parameters, available: Vec::new() }, sent })
}

/// The parameters of a challenge of second factors.
fn parameters(user: &User, more: impl IntoIterator<Item = (&'static str, String)>) -> BTreeMap<String, String> {
    let all = [("USER_ID_FOR_SRP", user.username().to_owned())].into_iter().chain(more);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The name of the user's authenticator app, if they gave it one.
fn device_name(user: &User) -> Option<(&'static str, String)> {
    let name = user.software_token.as_ref().map(|app| &app.friendly_device_name).and_then(Personal::known)?;
    Some(("FRIENDLY_DEVICE_NAME", name.clone()))
}

/// Sends the code of a sign-in to the user's address, after a first proof.
///
/// Callers on networks that are strange to the user share the limits of their network, like those who ask for other
/// codes. The codes of one user have a limit of their own.
async fn send_code(
    app: &App,
    caller: &Caller,
    sign_in: SignIn<'_>,
    user: &User,
    medium: Medium,
) -> Result<(BTreeMap<String, String>, Option<Sent>), Failure> {
    let (pool, purpose, source) = (sign_in.pool(), rules::sign_in(medium), sign_in.found.source());
    let address = user.attribute(medium.attribute()).filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| Error::internal("a code for a user without an address"))?;
    let wanted = Wanted { sub: Some(user.sub), code: Some(purpose), ..Wanted::default() };
    let before = app.store.read(&pool.id, None, wanted).await?.code;
    let (code, delivery) = (app.random.code(), (medium, address.to_owned()));
    let new = NewCode {
        sub: user.sub,
        purpose,
        delivery: &delivery,
        code: &code,
        before: before.as_ref(),
        source,
        network: Some(&sign_in.whence.network),
        at: sign_in.at,
    };
    let mut rows = vec![new.row(&pool.keys)?];
    if source == Source::Strange {
        let client = &sign_in.client.state;
        app.limits.spend_code_by_client(&client.client_id)?;
        let whence = sign_in.whence.clone().with_secret(client.client_secret.is_some());
        rows.extend(codes::spent(whence.codes(app, medium)));
    }
    let message = authentication_message(&pool.state.settings, medium, address, user.username(), &code);
    let decision = Decision::events(Vec::new(), ()).with_activity([rules::sent(purpose, medium)]);
    let wording = Wording {
        source: custom_message::AUTHENTICATION,
        pool,
        client_id: Some(&sign_in.client.state.client_id),
        shown: None,
        metadata: sign_in.client_metadata,
    };
    let decision = decision.with_messages([message]);
    let decision = wording.of(app, caller, (user.sub, Some(user)), decision, sign_in.at).await?;
    let told = [
        ("CODE_DELIVERY_DELIVERY_MEDIUM", medium.name().to_owned()),
        ("CODE_DELIVERY_DESTINATION", message::mask(medium, address)),
    ];
    Ok((parameters(user, told), Some(Sent { decision, rows })))
}

/// Which device is to prove itself, and whose it is.
fn device_parameters(sign_in: SignIn<'_>, user: &User) -> BTreeMap<String, String> {
    let device = sign_in.device().map(|device| ("DEVICE_KEY", device.state.id.key(&sign_in.pool().id)));
    let parameters = device.into_iter().chain([("USERNAME", user.username().to_owned())]);
    parameters.map(|(name, value)| (name.to_owned(), value)).collect()
}
