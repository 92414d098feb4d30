//! The answer of a step of a sign-in.

use std::collections::BTreeMap;

use crate::domain::auth::challenge::ChallengeName;
use crate::proto::v1;

/// Tokens, or the next challenge.
pub enum Answer {
    /// The sign-in is complete.
    Tokens(Box<v1::AuthenticationResultType>),
    /// The sign-in continues with this challenge.
    Challenge(Challenge),
}

/// A challenge that was issued.
pub struct Challenge {
    /// The challenge's name, as the API writes it.
    pub name: ChallengeName,
    /// The token that the caller sends back with the answer; absent where a parameter holds the sign-in.
    pub session: Option<String>,
    /// What the caller needs in order to answer, by the names of `ChallengeParameters`.
    pub parameters: BTreeMap<String, String>,
    /// The names of the challenges among which the caller may choose.
    pub available: Vec<String>,
}

/// The response of an operation that begins or continues a sign-in: all of them have the same members.
pub trait AuthResponse: From<Answer> + prost::Message {}

macro_rules! responses {
    ($($response:ident),*) => {
        $(impl AuthResponse for v1::$response {}

        impl From<Answer> for v1::$response {
            fn from(answer: Answer) -> Self {
                match answer {
                    Answer::Tokens(tokens) => Self { authentication_result: Some(*tokens), ..Self::default() },
                    Answer::Challenge(Challenge { name, session, parameters, available }) => Self {
                        challenge_name: Some(name.name().to_owned()),
                        session,
                        challenge_parameters: parameters,
                        available_challenges: available,
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
