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

/// The response of an operation that begins a sign-in or continues it: all of them have the same members.
pub trait AuthResponse: From<Answer> + prost::Message {}

macro_rules! responses {
    ($($response:ident),*) => {
        $(impl AuthResponse for v1::$response {}

        impl From<Answer> for v1::$response {
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
