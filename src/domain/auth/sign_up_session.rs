//! The session of a sign-up: the user who signs up through a client that allows `USER_AUTH` is signed in at once when a
//! code has confirmed them.
//!
//! ```text
//!   SignUp ──▶ session: signed up ──▶ ConfirmSignUp, and a right code ──▶ session: confirmed ──▶ USER_AUTH ──▶ tokens
//! ```
//! The first one proves nothing, and the confirmation does without it, as in Cognito: Amplify does not send it. The second
//! one stands for the first factor, because the code has proved the user's address, and is good for one sign-in.

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
    /// The session of a user at this stage; none if the client does not allow the flow that takes it.
    pub fn begin(nonce: Uuid, client: &AppClient, sub: Sub, stage: Stage, at: Timestamp) -> Option<Self> {
        let (client_id, expires_at) = (client.client_id.clone(), expires_at(client, at));
        client.allows(AuthFlow::User.name()).then_some(Self { nonce, stage, client_id, sub, expires_at })
    }

    /// Refuses a session that does not belong to a confirmation of this user through this client. Its time is not looked
    /// at: the code is good for longer, and who is slow must not be shut out.
    pub fn check_confirmation(&self, client: &AppClient, sub: Sub) -> Result<(), Error> {
        let is_its = self.stage == Stage::SignedUp && self.is_of(client, sub);
        if is_its { Ok(()) } else { Err(Error::invalid_session()) }
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
        SignUpSession::begin(NONCE, &through("ALLOW_USER_AUTH"), JANE, Stage::SignedUp, at(0)).unwrap()
    }

    fn proved(medium: Medium) -> Stage {
        Stage::Confirmed(Proved { medium, token_generation: 1 })
    }

    #[test]
    fn only_a_client_that_allows_the_choice_of_a_factor_has_sessions() {
        assert_eq!(begun().expires_at, at(180), "the client's AuthSessionValidity");
        let without = through("ALLOW_USER_PASSWORD_AUTH");
        for stage in [Stage::SignedUp, proved(Medium::Email)] {
            assert_eq!(SignUpSession::begin(NONCE, &without, JANE, stage, at(0)), None);
        }
    }

    #[test]
    fn each_session_is_of_its_user_and_client_and_good_for_one_step() {
        let with = through("ALLOW_USER_AUTH");
        let another = AppClient { client_id: ClientId::new("another"), ..with.clone() };
        let after = SignUpSession::begin(NONCE, &with, JANE, proved(Medium::Email), at(100)).unwrap();
        assert_eq!((after.spent().id, after.expires_at), (NONCE, at(280)));
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
        assert!(begun().check_confirmation(&with, JANE).is_ok());
        for refused in [
            after.check_confirmation(&with, JANE),
            begun().check_confirmation(&another, JANE),
            begun().check_confirmation(&with, OTHER),
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
        let after = SignUpSession { stage: proved(Medium::Sms), ..begun() };
        let written = serde_json::to_value(&after).unwrap();
        assert_eq!(written["stage"]["confirmed"]["medium"], "SMS");
        for session in [begun(), after] {
            let written = serde_json::to_string(&session).unwrap();
            assert_eq!(serde_json::from_str::<SignUpSession>(&written).unwrap(), session);
        }
    }
}
