//! Sessions: of a sign-in between two steps ([`ChallengeSession`]), and of one that is complete ([`Session`]).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::auth::challenge::ChallengeName;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, PasswordId, Sub};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user_pool::NameRules;

/// What a sign-in has proved so far. It may be nothing: then it has asked for a first proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proofs {
    /// The password that the user knows.
    #[serde(rename = "password_id", default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordId>,
}

impl Proofs {
    /// The same with a password that the user knows, in the place of any before.
    pub fn with_password(mut self, password: Option<PasswordId>) -> Self {
        self.password = password;
        self
    }

    /// Whether they still hold for a user who has this password: another one ends a sign-in that proved the one before.
    pub fn hold(&self, password: Option<PasswordId>) -> bool {
        self.password.is_none_or(|proved| Some(proved) == password)
    }
}

/// A sign-in between two steps: the content of Cognito's `Session`. It exists in the challenge token alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeSession {
    /// Spent with the first answer that has an outcome.
    pub nonce: Uuid,
    /// The step that is open.
    pub challenge: ChallengeName,
    /// The flow that the sign-in began with.
    pub flow: AuthFlow,
    /// The client that it goes through.
    pub client_id: ClientId,
    /// Who signs in.
    pub sub: Sub,
    /// What was proved so far.
    #[serde(flatten)]
    pub proofs: Proofs,
    /// Who stands for the name that it began at, as the network of its beginning calls it: what is told of wrong passwords
    /// is counted under it. A token of an earlier release has none.
    #[serde(default)]
    pub told: Option<Sub>,
    /// Until when an answer is taken.
    pub expires_at: Timestamp,
}

/// Until when a challenge through a client that is issued at a time can be answered.
pub fn expires_at(client: &AppClient, at: Timestamp) -> Timestamp {
    at.plus_seconds(i64::from(client.settings.auth_session_validity) * 60)
}

/// What is known of an answer when its session is checked.
pub struct Answer<'a> {
    /// The challenge that is answered.
    pub challenge: ChallengeName,
    /// The client that is used.
    pub client: &'a AppClient,
    /// The user of the session.
    pub user: &'a User,
    /// The password that the user has now.
    pub password: Option<PasswordId>,
    /// The name that came with the answer.
    pub username: &'a str,
    /// How names are compared.
    pub name_rules: &'a NameRules,
    /// The time.
    pub at: Timestamp,
}

impl ChallengeSession {
    /// Whether the session is of this answer. One that has replaced a password is not: its proof does not hold any more.
    pub fn fits(&self, answer: &Answer<'_>) -> bool {
        let user = answer.user;
        let named = user.names(answer.name_rules).contains(&answer.name_rules.normalise(answer.username));
        self.challenge == answer.challenge
            && self.client_id == answer.client.client_id
            && self.sub == user.sub
            && self.proofs.hold(answer.password)
            && named
    }

    /// Whether a session that fits is still good: its time is not over, and its user may sign in.
    pub fn check(&self, answer: &Answer<'_>) -> Result<(), Error> {
        if answer.at >= self.expires_at {
            return Err(Error::not_authorized("Invalid session for the user, session is expired."));
        }
        if answer.user.enabled { Ok(()) } else { Err(Error::not_authorized("User is disabled.")) }
    }
}

/// One complete sign-in and its refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id: the `event_id` of its tokens.
    pub event_id: Uuid,
    /// Who signed in.
    pub sub: Sub,
    /// The client that it went through.
    pub client_id: ClientId,
    /// The user's generation when it began. It ends when the user has a later one.
    pub token_generation: i64,
    /// When it began.
    pub auth_time: Timestamp,
    /// When its refresh token ends.
    pub expires_at: Timestamp,
    /// Which of its refresh tokens counts: 0 at first, one more with each rotation.
    pub refresh_counter: i32,
    /// Since when the refresh token before does not count.
    pub replaced_at: Option<Timestamp>,
}

impl Session {
    /// A session that begins.
    pub fn begin(event_id: Uuid, client: &AppClient, user: &User, at: Timestamp) -> Self {
        Self {
            event_id,
            sub: user.sub,
            client_id: client.client_id.clone(),
            token_generation: user.token_generation,
            auth_time: at,
            expires_at: at.plus_seconds(client.lifetimes().refresh),
            refresh_counter: 0,
            replaced_at: None,
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
            proofs: Proofs { password: Some(PASSWORD) },
            told: Some(Sub(Uuid::from_u128(7))),
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
            username,
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
        let others = [
            ChallengeSession { client_id: ClientId::new("other"), ..session() },
            ChallengeSession { sub: Sub(Uuid::from_u128(9)), ..session() },
            ChallengeSession { proofs: Proofs { password: Some(PasswordId(Uuid::from_u128(9))) }, ..session() },
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
    fn a_session_that_has_proved_no_password_is_good_whatever_the_password() {
        let unproved = ChallengeSession { proofs: Proofs::default(), ..session() };
        assert!(checked(&unproved, &user(&[invited("jane", &[])]), "jane", 0).is_ok());
    }

    #[test]
    fn a_session_is_read_as_earlier_builds_wrote_it() {
        let written = serde_json::to_value(session()).unwrap();
        assert_eq!(written["password_id"], Uuid::from_u128(2).to_string());
        assert_eq!(serde_json::from_value::<ChallengeSession>(written).unwrap(), session());
        let unproved = ChallengeSession { proofs: Proofs::default(), ..session() };
        let written = serde_json::to_string(&unproved).unwrap();
        assert_eq!(serde_json::from_str::<ChallengeSession>(&written).unwrap(), unproved);
    }

    #[test]
    fn a_challenge_is_open_for_as_long_as_the_client_says() {
        let client = client(&pool(Default::default()), Default::default());
        assert_eq!(expires_at(&client, at(7)), at(187));
    }
}
