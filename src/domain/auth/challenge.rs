//! Challenges: what a sign-in asks for before it gives tokens, and what it remembers until the answer comes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::auth::AuthFlow;
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, Sub};
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::domain::user_pool::NameRules;

/// A challenge that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeName {
    /// The password is temporary: the user chooses its own.
    #[serde(rename = "NEW_PASSWORD_REQUIRED")]
    NewPasswordRequired,
}

impl ChallengeName {
    /// The challenge that is answered.
    pub fn of(name: &str) -> Result<Self, Error> {
        match name {
            "NEW_PASSWORD_REQUIRED" => Ok(Self::NewPasswordRequired),
            unbuilt => {
                Err(Error::invalid_parameter(format!("Challenge {unbuilt} is not supported by this server yet.")))
            }
        }
    }

    /// Cognito's name of the challenge.
    pub fn name(self) -> &'static str {
        match self {
            Self::NewPasswordRequired => "NEW_PASSWORD_REQUIRED",
        }
    }
}

/// A sign-in between two steps: the content of Cognito's `Session`. It exists in the token alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeSession {
    /// Spent with the first answer that has an outcome.
    pub nonce: Uuid,
    /// The challenge.
    pub challenge: ChallengeName,
    /// The flow that the sign-in began with.
    pub flow: AuthFlow,
    /// The client that it goes through.
    pub client_id: ClientId,
    /// Who signs in.
    pub sub: Sub,
    /// Which password was proved, so that another one ends the sign-in.
    pub password_id: Uuid,
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

/// The refusal of a text that is no session, or none of this client, user and challenge.
pub fn invalid_session() -> Error {
    Error::not_authorized("Invalid session for the user.")
}

/// The refusal of a session that an answer has used up.
pub fn used_session() -> Error {
    Error::not_authorized("Invalid session for the user, session can only be used once.")
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
    pub password_id: Option<Uuid>,
    /// The name that came with the answer.
    pub username: &'a str,
    /// How names are compared.
    pub name_rules: &'a NameRules,
    /// The time.
    pub at: Timestamp,
}

impl ChallengeSession {
    /// Whether the session is of this answer. One that was used is not: the password is another one since.
    pub fn fits(&self, answer: &Answer<'_>) -> bool {
        let user = answer.user;
        let named = user.names(answer.name_rules).contains(&answer.name_rules.normalise(answer.username));
        self.challenge == answer.challenge
            && self.client_id == answer.client.client_id
            && self.sub == user.sub
            && Some(self.password_id) == answer.password_id
            && named
    }

    /// Whether a session that fits is still good: its time is not over, and its user may sign in.
    pub fn check(&self, answer: &Answer<'_>) -> Result<(), Error> {
        let user = answer.user;
        if answer.at >= self.expires_at {
            return Err(Error::not_authorized("Invalid session for the user, session is expired."));
        }
        if user.enabled { Ok(()) } else { Err(Error::not_authorized("User is disabled.")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{JANE, at, client, invited, pool, refusal, user};

    const PASSWORD: Uuid = Uuid::from_u128(2);

    fn session() -> ChallengeSession {
        ChallengeSession {
            nonce: Uuid::from_u128(1),
            challenge: ChallengeName::NewPasswordRequired,
            flow: AuthFlow::UserPassword,
            client_id: ClientId::new("client"),
            sub: JANE,
            password_id: PASSWORD,
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
            password_id: Some(PASSWORD),
            username,
            name_rules: &rules,
            at: at(second),
        };
        if session.fits(&answer) { session.check(&answer) } else { Err(invalid_session()) }
    }

    #[test]
    fn a_session_is_good_for_its_client_user_and_password_until_its_end() {
        let jane = user(&[invited("jane", &[])]);
        assert!(checked(&session(), &jane, "jane", 179).is_ok());
        assert!(checked(&session(), &jane, &JANE.to_string(), 179).is_ok(), "the sub is a name");
        let invalid = invalid_session().message.into_owned();
        let others = [
            ChallengeSession { client_id: ClientId::new("other"), ..session() },
            ChallengeSession { sub: Sub(Uuid::from_u128(9)), ..session() },
            ChallengeSession { password_id: Uuid::from_u128(9), ..session() },
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
    fn a_challenge_is_open_for_as_long_as_the_client_says() {
        let client = client(&pool(Default::default()), Default::default());
        assert_eq!(expires_at(&client, at(7)), at(187));
    }

    #[test]
    fn a_challenge_that_is_not_built_is_named() {
        assert_eq!(ChallengeName::of("NEW_PASSWORD_REQUIRED").unwrap().name(), "NEW_PASSWORD_REQUIRED");
        let message = refusal(ChallengeName::of("SMS_MFA").map(drop)).1;
        assert_eq!(message, "Challenge SMS_MFA is not supported by this server yet.");
    }
}
