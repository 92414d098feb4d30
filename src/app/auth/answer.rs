//! What a step of a sign-in answers.

use std::collections::BTreeMap;

use crate::domain::auth::challenge::ChallengeName;
use crate::proto::v1;

/// Tokens, or what is asked for next.
pub enum Answer {
    /// The sign-in is complete.
    Tokens(Box<v1::AuthenticationResultType>),
    /// The sign-in goes on.
    Challenge(Challenge),
}

/// A challenge that was issued.
pub struct Challenge {
    /// Which one.
    pub name: ChallengeName,
    /// The token that the answer gives back.
    pub session: String,
    /// What is needed to answer.
    pub parameters: BTreeMap<String, String>,
}

/// The responses of the operations that begin or continue a sign-in have the same members.
macro_rules! responses {
    ($($response:ident),*) => {
        $(impl From<Answer> for v1::$response {
            fn from(answer: Answer) -> Self {
                match answer {
                    Answer::Tokens(tokens) => Self { authentication_result: Some(*tokens), ..Self::default() },
                    Answer::Challenge(Challenge { name, session, parameters }) => Self {
                        challenge_name: Some(name.name().to_owned()),
                        session: Some(session),
                        challenge_parameters: parameters,
                        ..Self::default()
                    },
                }
            }
        })*
    };
}

responses!(
    InitiateAuthResponse,
    AdminInitiateAuthResponse,
    RespondToAuthChallengeResponse,
    AdminRespondToAuthChallengeResponse
);
