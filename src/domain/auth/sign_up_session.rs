//! The session of a sign-up: the user who signs up through a client that allows `USER_AUTH` is signed in at once when a
//! code has confirmed them.
//!
//! ```text
//!   SignUp ──▶ session: signed up ──▶ ConfirmSignUp, and a right code ──▶ session: confirmed ──▶ USER_AUTH ──▶ tokens
//! ```
//! The first one proves nothing: it only says that who confirms the user is who signed up. The second one stands for the
//! first factor, because the code has proved the user's address, and is good for one sign-in.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::session::{Nonce, expires_at};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, Sub};
use crate::domain::message::Medium;
use crate::domain::time::Timestamp;
use crate::domain::user::{User, UserStatus};

/// A sign-up between two steps: the content of Cognito's `Session` of SignUp and ConfirmSignUp. It is stored in its token
/// only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignUpSession {
    /// A random id that is spent by the sign-in, so that there is one.
    pub nonce: Uuid,
    /// How far the sign-up has come.
    pub stage: Stage,
    /// The app client that the user signs up through.
    pub client_id: ClientId,
    /// The user.
    pub sub: Sub,
    /// When the session is of no use any more.
    pub expires_at: Timestamp,
}

/// How far a sign-up has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The user has signed up, and has proved nothing.
    SignedUp,
    /// A code has confirmed the user.
    Confirmed(Proved),
}

/// What the code of a sign-up has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// The medium that the code was sent by.
    pub medium: Medium,
    /// The user's token generation at that time. Whatever ends all sessions of the user ends this one as well.
    pub token_generation: i64,
}

impl Proved {
    /// Whether the proof still holds: the user is confirmed, was not signed out everywhere since, and has proved the
    /// address that they have now.
    pub fn holds_for(&self, user: &User) -> bool {
        user.status == UserStatus::Confirmed
            && user.token_generation == self.token_generation
            && user.verified.contains(self.medium.attribute())
    }
}

impl SignUpSession {
    /// The session of a user who signs up; none if the client does not allow the flow that takes it.
    pub fn begin(nonce: Uuid, client: &AppClient, sub: Sub, at: Timestamp) -> Option<Self> {
        let session = || Self {
            nonce,
            stage: Stage::SignedUp,
            client_id: client.client_id.clone(),
            sub,
            expires_at: expires_at(client, at),
        };
        client.allows(AuthFlow::User.name()).then(session)
    }

    /// Whether a confirmation through this client continues the sign-up of this user. Too late, it is a confirmation
    /// without a session: the code is good for longer, and who is slow must not be shut out.
    pub fn continues(&self, client: &AppClient, sub: Sub, at: Timestamp) -> Result<bool, Error> {
        if self.stage != Stage::SignedUp || !self.is_of(client, sub) {
            return Err(Error::invalid_session());
        }
        Ok(at < self.expires_at && client.allows(AuthFlow::User.name()))
    }

    /// The next session of the sign-up, after a code that was sent by this medium.
    pub fn confirmed(&self, nonce: Uuid, client: &AppClient, user: &User, medium: Medium, at: Timestamp) -> Self {
        let proved = Proved { medium, token_generation: user.token_generation };
        Self { nonce, stage: Stage::Confirmed(proved), expires_at: expires_at(client, at), ..self.clone() }
    }

    /// What a sign-in of this user through this client has proved by the session. Refuses one that is not good for it.
    pub fn proved(&self, client: &AppClient, sub: Sub, at: Timestamp) -> Result<Proved, Error> {
        let Stage::Confirmed(proved) = self.stage else { return Err(Error::invalid_session()) };
        if !self.is_of(client, sub) {
            return Err(Error::invalid_session());
        }
        if at < self.expires_at { Ok(proved) } else { Err(Error::expired_session()) }
    }

    /// What the sign-in spends.
    pub fn spent(&self) -> Nonce {
        Nonce { id: self.nonce, sub: self.sub, expires_at: self.expires_at }
    }

    fn is_of(&self, client: &AppClient, sub: Sub) -> bool {
        self.client_id == client.client_id && self.sub == sub
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{JANE, at, client, confirmed, pool, refusal, reset, signed_up, texts, user};
    use crate::proto::events::UserSignedOut;
    use crate::proto::events::user_event::Event;
    use crate::proto::v1::CreateUserPoolClientRequest;

    const NONCE: Uuid = Uuid::from_u128(1);
    const OTHER: Sub = Sub(Uuid::from_u128(9));

    fn through(flow: &str) -> AppClient {
        let explicit_auth_flows = texts(&[flow]);
        client(&pool(Default::default()), CreateUserPoolClientRequest { explicit_auth_flows, ..Default::default() })
    }

    fn jane() -> User {
        user(&[signed_up("jane", &[("email", "jane@example.com")]), confirmed(&["email"])])
    }

    fn begun() -> SignUpSession {
        SignUpSession::begin(NONCE, &through("ALLOW_USER_AUTH"), JANE, at(0)).unwrap()
    }

    #[test]
    fn only_a_client_that_allows_the_choice_of_a_factor_begins_and_continues_a_session() {
        let (with, without) = (through("ALLOW_USER_AUTH"), through("ALLOW_USER_PASSWORD_AUTH"));
        assert_eq!(begun().expires_at, at(180), "the client's AuthSessionValidity");
        assert_eq!(SignUpSession::begin(NONCE, &without, JANE, at(0)), None);
        assert!(begun().continues(&with, JANE, at(179)).unwrap());
        assert!(!begun().continues(&with, JANE, at(180)).unwrap(), "too late for the session, not for the code");
        assert!(!begun().continues(&without, JANE, at(1)).unwrap(), "the client has changed since");
    }

    #[test]
    fn each_session_is_of_its_user_and_client_and_good_for_one_step() {
        let with = through("ALLOW_USER_AUTH");
        let another = AppClient { client_id: ClientId::new("another"), ..with.clone() };
        let after = begun().confirmed(Uuid::from_u128(2), &with, &jane(), Medium::Email, at(100));
        assert_eq!((after.spent().id, after.expires_at), (Uuid::from_u128(2), at(280)));
        let expected = Proved { medium: Medium::Email, token_generation: 1 };
        assert_eq!(after.proved(&with, JANE, at(279)).unwrap(), expected);
        let invalid = Error::invalid_session().message.into_owned();
        for refused in [
            begun().proved(&with, JANE, at(0)),
            after.proved(&another, JANE, at(100)),
            after.proved(&with, OTHER, at(100)),
        ] {
            assert_eq!(refusal(refused).1, invalid);
        }
        for refused in [
            after.continues(&with, JANE, at(100)),
            begun().continues(&another, JANE, at(0)),
            begun().continues(&with, OTHER, at(0)),
        ] {
            assert_eq!(refusal(refused).1, invalid);
        }
        let over = "Invalid session for the user, session is expired.";
        assert_eq!(refusal(after.proved(&with, JANE, at(280))).1, over);
    }

    #[test]
    fn a_proof_holds_until_the_user_is_changed_in_what_it_rests_on() {
        let proved = Proved { medium: Medium::Email, token_generation: 1 };
        assert!(proved.holds_for(&jane()));
        let signed_out = Event::SignedOut(UserSignedOut { token_generation: 2 });
        let since = |event: Event| user(&[signed_up("jane", &[]), confirmed(&["email"]), event]);
        assert!(!proved.holds_for(&since(signed_out)));
        assert!(!proved.holds_for(&since(reset())));
        assert!(!proved.holds_for(&user(&[signed_up("jane", &[])])), "not confirmed");
        assert!(!proved.holds_for(&user(&[signed_up("jane", &[]), confirmed(&["phone_number"])])));
    }

    #[test]
    fn sessions_are_read_as_they_were_written() {
        let after = begun().confirmed(NONCE, &through("ALLOW_USER_AUTH"), &jane(), Medium::Sms, at(0));
        let written = serde_json::to_value(&after).unwrap();
        assert_eq!(written["stage"]["confirmed"]["medium"], "SMS");
        for session in [begun(), after] {
            let written = serde_json::to_string(&session).unwrap();
            assert_eq!(serde_json::from_str::<SignUpSession>(&written).unwrap(), session);
        }
    }
}
