//! Sessions: of a sign-in between two steps ([`ChallengeSession`]), and of a completed sign-in ([`Session`]).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::binding::Binding;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::auth::custom::Open;
use crate::domain::auth::srp::exchange::{PublicValue, ServerSecret};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, DeviceId, PasskeyId, PasswordId, Sub};
use crate::domain::message::Medium;
use crate::domain::second_factor::SecondFactor;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user_pool::NameRules;

/// What a sign-in has proved so far. It can be empty: then the sign-in has only asked for a first proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proofs {
    /// The password that the user has proved to know.
    #[serde(rename = "password_id", default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordId>,
    /// The medium of the code by which the user has begun, in the place of a password.
    #[serde(rename = "code_by", default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Medium>,
    /// The passkey by which the user has begun, in the place of a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<ProvedPasskey>,
    /// Whether the user has passed the custom challenges of the pool's triggers.
    #[serde(rename = "custom_challenges", default, skip_serializing_if = "is_not")]
    pub custom: bool,
    /// The second factor that the user has proved, or has set up for this sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
    /// The second factor that the user chose to prove. It proves nothing, but decides what is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_factor: Option<SecondFactor>,
    /// The device that has proved itself.
    #[serde(rename = "proved_device", default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Whether the user has chosen a first password of their own in this sign-in. It proves nothing, but triggers are told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new_password: bool,
}

fn is_not(flag: &bool) -> bool {
    !*flag
}

/// A passkey that has signed the challenge of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvedPasskey {
    /// The passkey.
    pub id: PasskeyId,
    /// Whether the authenticator has verified the user.
    pub user_verified: bool,
}

impl Proofs {
    /// The same proofs with this password, in place of any earlier one.
    pub fn with_password(mut self, password: Option<PasswordId>) -> Self {
        self.password = password;
        self
    }

    /// The same proofs with this password, which the user has just chosen in place of a temporary one.
    pub fn with_new_password(mut self, password: Option<PasswordId>) -> Self {
        self.new_password = true;
        self.with_password(password)
    }

    /// The same proofs with a code that was sent by this medium, as the first factor.
    pub fn with_code(mut self, medium: Medium) -> Self {
        self.code = Some(medium);
        self
    }

    /// The same proofs with a passkey, as the first factor.
    pub fn with_passkey(mut self, passkey: ProvedPasskey) -> Self {
        self.passkey = Some(passkey);
        self
    }

    /// The same proofs, after the custom challenges of the pool's triggers.
    pub fn with_custom_challenges(mut self) -> Self {
        self.custom = true;
        self
    }

    /// Whether a first factor is proved.
    pub fn has_begun(&self) -> bool {
        self.password.is_some() || self.code.is_some() || self.passkey.is_some() || self.custom
    }

    /// The same proofs with this second factor.
    pub fn with_second_factor(mut self, factor: SecondFactor) -> Self {
        self.second_factor = Some(factor);
        self
    }

    /// The same proofs, after the choice of this second factor.
    pub fn with_chosen_factor(mut self, factor: SecondFactor) -> Self {
        self.chosen_factor = Some(factor);
        self
    }

    /// The same proofs with this device.
    pub fn with_device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// Whether the proofs still hold for a user who has this password now: a new password ends a sign-in that proved the
    /// old one, and so does the deletion of a passkey.
    pub fn hold(&self, user: &User, password: Option<PasswordId>) -> bool {
        self.password.is_none_or(|proved| Some(proved) == password)
            && self.passkey.is_none_or(|proved| user.passkey(proved.id).is_some())
    }
}

/// What is spent by its use, so that it is used once: a challenge, or a code of an authenticator app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// The nonce of the challenge's token, or a keyed hash of the user, the app's secret and the code's time step.
    pub id: Uuid,
    /// The user of the sign-in, or the stand-in for a name that no user has.
    pub sub: Sub,
    /// When it expires: from then on nobody needs to know that it was used.
    pub expires_at: Timestamp,
}

/// A sign-in between two steps: the content of Cognito's `Session`. It is stored in the challenge token only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeSession {
    /// A random id that is spent by the first answer with an outcome, so that a session is answered once.
    pub nonce: Uuid,
    /// The challenge that is to be answered.
    pub challenge: ChallengeName,
    /// The flow that the sign-in began with.
    pub flow: AuthFlow,
    /// The app client that the sign-in goes through.
    pub client_id: ClientId,
    /// The user who signs in.
    pub sub: Sub,
    /// The proofs given so far.
    #[serde(flatten)]
    pub proofs: Proofs,
    /// The stand-in for the user name that the sign-in began with, as seen from the caller's network: wrong passwords
    /// that callers are told about are counted under it. Absent in tokens of earlier releases.
    #[serde(default)]
    pub told: Option<Sub>,
    /// The exchange of a challenge by SRP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
    /// The custom challenge that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Open>,
    /// The user's device that the caller has named. Whether it proves itself is another matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// When the session stops accepting an answer.
    pub expires_at: Timestamp,
}

/// An SRP exchange, between the server's public value and the client's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// The identity that the client hashes: `USER_ID_FOR_SRP`.
    pub user_id: String,
    /// The password whose verifier was used; absent if it was made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordId>,
    /// The client's public value.
    pub client: PublicValue,
    /// The server's secret exponent.
    pub secret: ServerSecret,
    /// The server's public value.
    pub server: PublicValue,
}

/// When a challenge that a client is issued at this time expires.
pub fn expires_at(client: &AppClient, at: Timestamp) -> Timestamp {
    at.plus_seconds(i64::from(client.settings.auth_session_validity) * 60)
}

/// The facts about an answer that its session is checked against.
pub struct Answer<'a> {
    /// The challenge that is answered.
    pub challenge: ChallengeName,
    /// The client that is used.
    pub client: &'a AppClient,
    /// The user of the session.
    pub user: &'a User,
    /// The password that the user has now, if any.
    pub password: Option<PasswordId>,
    /// The user name in the answer; absent where the operation takes none.
    pub username: Option<&'a str>,
    /// The pool's rules for comparing names.
    pub name_rules: &'a NameRules,
    /// When the answer is given.
    pub at: Timestamp,
}

impl ChallengeSession {
    /// What an answer with an outcome spends.
    pub fn spent(&self) -> Nonce {
        Nonce { id: self.nonce, sub: self.sub, expires_at: self.expires_at }
    }

    /// Whether the session is of this challenge and client. It is asked before the user is looked at: a session that has
    /// proved nothing can be about a name that nobody has, which its refusal must not show.
    pub fn is_for(&self, challenge: ChallengeName, client: &ClientId) -> bool {
        self.challenge == challenge && self.client_id == *client
    }

    /// Whether the session belongs to this answer. A session that has replaced the password does not: its proof no
    /// longer holds.
    pub fn fits(&self, answer: &Answer<'_>) -> bool {
        let user = answer.user;
        let is_name = |name: &str| user.names(answer.name_rules).contains(&answer.name_rules.normalise(name));
        let named = answer.username.is_none_or(is_name);
        self.is_for(answer.challenge, &answer.client.client_id)
            && self.sub == user.sub
            && self.proofs.hold(user, answer.password)
            && named
    }

    /// Refuses a session that has expired.
    pub fn check_time(&self, at: Timestamp) -> Result<(), Error> {
        if at < self.expires_at {
            return Ok(());
        }
        Err(Error::expired_session())
    }

    /// Whether a session that fits is still valid: it has not expired, and its user is not disabled.
    pub fn check(&self, answer: &Answer<'_>) -> Result<(), Error> {
        self.check_time(answer.at)?;
        if answer.user.enabled { Ok(()) } else { Err(Error::not_authorized("User is disabled.")) }
    }
}

/// A completed sign-in and its refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session's id: the `event_id` of its tokens.
    pub event_id: Uuid,
    /// The user who signed in.
    pub sub: Sub,
    /// The app client that the sign-in went through.
    pub client_id: ClientId,
    /// The user's token generation when the session began. The session ends when the user has a later one.
    pub token_generation: i64,
    /// When the sign-in was completed: the claim `auth_time` of its tokens.
    pub auth_time: Timestamp,
    /// When its refresh token expires.
    pub expires_at: Timestamp,
    /// Which of its refresh tokens is valid: 0 at first, one more with each rotation.
    pub refresh_counter: i32,
    /// When the previous refresh token was replaced; `None` before the first rotation.
    pub replaced_at: Option<Timestamp>,
    /// The device that the user signed in with, or whose key the sign-in gave out: whoever refreshes must name it.
    pub device: Option<DeviceId>,
    /// Whether it can be refreshed. A sign-in by a trusted server can't, where devices are tracked.
    pub is_refreshable: bool,
}

impl Session {
    /// Begins a session of a user through a client, bound to a device.
    pub fn begin(event_id: Uuid, client: &AppClient, user: &User, binding: Binding, at: Timestamp) -> Self {
        Self {
            event_id,
            sub: user.sub,
            client_id: client.client_id.clone(),
            token_generation: user.token_generation,
            auth_time: at,
            expires_at: at.plus_seconds(client.lifetimes().refresh),
            refresh_counter: 0,
            replaced_at: None,
            device: binding.device(),
            is_refreshable: binding != Binding::ByServer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{JANE, at, client, invited, pool, refusal, user};

    const PASSWORD: PasswordId = PasswordId(Uuid::from_u128(2));

    fn session() -> ChallengeSession {
        ChallengeSession {
            nonce: Uuid::from_u128(1),
            challenge: ChallengeName::NewPasswordRequired,
            flow: AuthFlow::UserPassword,
            client_id: ClientId::new("client"),
            sub: JANE,
            proofs: Proofs::default().with_password(Some(PASSWORD)),
            told: Some(Sub(Uuid::from_u128(7))),
            exchange: None,
            custom: None,
            device: None,
            expires_at: at(180),
        }
    }

    fn checked(session: &ChallengeSession, user: &User, username: &str, second: i64) -> Result<(), Error> {
        let client = client(&pool(Default::default()), Default::default());
        let rules = NameRules { case_sensitive: true, ..NameRules::default() };
        let answer = Answer {
            challenge: ChallengeName::NewPasswordRequired,
            client: &client,
            user,
            password: Some(PASSWORD),
            username: Some(username),
            name_rules: &rules,
            at: at(second),
        };
        if session.fits(&answer) { session.check(&answer) } else { Err(Error::invalid_session()) }
    }

    #[test]
    fn a_session_is_good_for_its_client_user_and_password_until_its_end() {
        let jane = user(&[invited("jane", &[])]);
        assert!(checked(&session(), &jane, "jane", 179).is_ok());
        assert!(checked(&session(), &jane, &JANE.to_string(), 179).is_ok(), "the sub is a name");
        let invalid = Error::invalid_session().message.into_owned();
        let other = Some(PasswordId(Uuid::from_u128(9)));
        let others = [
            ChallengeSession { challenge: ChallengeName::SelectChallenge, ..session() },
            ChallengeSession { client_id: ClientId::new("other"), ..session() },
            ChallengeSession { sub: Sub(Uuid::from_u128(9)), ..session() },
            ChallengeSession { proofs: Proofs::default().with_password(other), ..session() },
        ];
        for other in others {
            assert_eq!(refusal(checked(&other, &jane, "jane", 0)).1, invalid);
        }
        assert_eq!(refusal(checked(&session(), &jane, "joan", 0)).1, invalid);
        let over = "Invalid session for the user, session is expired.";
        assert_eq!(refusal(checked(&session(), &jane, "jane", 180)).1, over);
        let disabled = User { enabled: false, ..jane };
        assert_eq!(refusal(checked(&session(), &disabled, "jane", 0)).1, "User is disabled.");
    }

    #[test]
    fn a_session_without_a_proved_password_fits_any_password() {
        let unproved = ChallengeSession { proofs: Proofs::default(), ..session() };
        assert!(checked(&unproved, &user(&[invited("jane", &[])]), "jane", 0).is_ok());
    }

    #[test]
    fn a_session_that_proved_a_passkey_ends_with_the_passkey() {
        use crate::domain::user::passkeys::tests::{KEY, registered};
        let passkey = ProvedPasskey { id: KEY, user_verified: true };
        let proved = ChallengeSession { proofs: Proofs::default().with_passkey(passkey), ..session() };
        assert!(proved.proofs.has_begun());
        let events = [invited("jane", &[]), registered(KEY)];
        assert!(checked(&proved, &user(&events), "jane", 0).is_ok());
        let without = checked(&proved, &user(&events[..1]), "jane", 0);
        assert_eq!(refusal(without).1, Error::invalid_session().message);
        let written = serde_json::to_string(&proved).unwrap();
        assert_eq!(serde_json::from_str::<ChallengeSession>(&written).unwrap(), proved);
    }

    #[test]
    fn a_custom_challenge_is_kept_between_two_steps() {
        let open = Open { written: Some("jane".to_owned()), ..Open::default() };
        let proofs = Proofs::default().with_custom_challenges();
        assert!(proofs.has_begun());
        for (proofs, custom) in [(Proofs::default(), Some(open)), (proofs, None)] {
            let custom = ChallengeSession { challenge: ChallengeName::Custom, proofs, custom, ..session() };
            let written = serde_json::to_string(&custom).unwrap();
            assert_eq!(serde_json::from_str::<ChallengeSession>(&written).unwrap(), custom);
        }
    }

    #[test]
    fn a_session_is_read_as_earlier_builds_wrote_it() {
        let written = serde_json::to_value(session()).unwrap();
        assert_eq!(written["password_id"], Uuid::from_u128(2).to_string());
        assert_eq!(serde_json::from_value::<ChallengeSession>(written).unwrap(), session());
        let unproved = ChallengeSession { proofs: Proofs::default(), ..session() };
        let device = DeviceId(Uuid::from_u128(3));
        let with_device = ChallengeSession { device: Some(device), ..session() };
        let proved = ChallengeSession { proofs: session().proofs.with_device(device), ..with_device.clone() };
        let chosen = ChallengeSession { proofs: Proofs::default().with_new_password(Some(PASSWORD)), ..session() };
        for session in [unproved, with_device, proved, chosen] {
            let written = serde_json::to_string(&session).unwrap();
            assert_eq!(serde_json::from_str::<ChallengeSession>(&written).unwrap(), session);
        }
        let proofs =
            session().proofs.with_chosen_factor(SecondFactor::Sms).with_second_factor(SecondFactor::SoftwareToken);
        let factors = ChallengeSession { challenge: ChallengeName::MfaSetup, proofs, ..session() };
        let written = serde_json::to_value(&factors).unwrap();
        assert_eq!(
            (&written["second_factor"], &written["chosen_factor"]),
            (&"SOFTWARE_TOKEN_MFA".into(), &"SMS_MFA".into())
        );
        assert_eq!(serde_json::from_value::<ChallengeSession>(written).unwrap(), factors);
    }

    #[test]
    fn a_challenge_is_open_for_as_long_as_the_client_says() {
        let client = client(&pool(Default::default()), Default::default());
        assert_eq!(expires_at(&client, at(7)), at(187));
    }
}
