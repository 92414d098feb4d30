//! Ids: each its own type, so that one can't stand for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares a newtype of a string that is only ever compared and shown.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A pool's id: `<region>_<9 alphanumerics>`.
    UserPoolId
}

text_id! {
    /// An app client's id: 26 of `[0-9a-z]`.
    ClientId
}

text_id! {
    /// A service account's access key id: 20 of `[A-Z0-9]`.
    AccessKeyId
}

text_id! {
    /// A stream of the log within its pool: `pool`, `clients/<client id>`, `groups/<group id>`, `users/<sub>`.
    StreamId
}

impl UserPoolId {
    /// The id that a text is, if it has the form of one. For texts that no declared constraint has checked.
    pub fn parse(text: &str) -> Option<Self> {
        let (region, name) = text.rsplit_once('_')?;
        let word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        let formed = text.len() <= 55 && !region.is_empty() && !name.is_empty() && region.chars().all(word);
        (formed && name.chars().all(|character| character.is_ascii_alphanumeric())).then(|| Self::new(text))
    }

    /// The region that it begins with.
    pub fn region(&self) -> &str {
        self.0.rsplit_once('_').map_or("", |(region, _)| region)
    }

    /// The part after the region: the pool's name in SRP.
    pub fn pool_name(&self) -> &str {
        self.0.split_once('_').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// Stands for no pool where a key needs one: facts about service accounts.
    pub fn none() -> Self {
        Self("-".to_owned())
    }
}

/// The ARN of a user pool in its parts: `arn:aws:cognito-idp:<region>:<account>:userpool/<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPoolArn<'a> {
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account_id: &'a str,
    /// The pool's id.
    pub pool_id: &'a str,
}

impl<'a> UserPoolArn<'a> {
    /// The parts of a text that has the form of one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (region, rest) = text.strip_prefix("arn:aws:cognito-idp:")?.split_once(':')?;
        let (account_id, resource) = rest.split_once(':')?;
        let pool_id = resource.strip_prefix("userpool/")?;
        UserPoolId::parse(pool_id).map(|_| Self { region, account_id, pool_id })
    }
}

/// A user's id: a random UUID that is never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sub(pub Uuid);

impl fmt::Display for Sub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Sub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which password a user has: another password has another id, and hashing the same one again leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordId(pub Uuid);

/// A group's id: of this incarnation, so that a later group of the same name is another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub Uuid);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl GroupId {
    /// The id that a text is, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl StreamId {
    /// The pool's own stream.
    pub fn pool() -> Self {
        Self("pool".to_owned())
    }

    /// A client's stream.
    pub fn client(id: &ClientId) -> Self {
        Self(format!("clients/{id}"))
    }

    /// A group's stream.
    pub fn group(id: GroupId) -> Self {
        Self(format!("groups/{id}"))
    }

    /// A user's stream.
    pub fn user(sub: Sub) -> Self {
        Self(format!("users/{sub}"))
    }

    /// What the stream is about, without its kind: the key of its events' order on Kafka.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(_, owner)| owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_pool_id_is_one() {
        let id = UserPoolId::parse("us-east-1_aB3dE5gH9").unwrap();
        assert_eq!((id.region(), id.pool_name()), ("us-east-1", "aB3dE5gH9"));
        for wrong in
            ["", "_", "a_", "_a", "us-east-1", "a_b c", "a_\0", "a\0_b", "é_b", &format!("a_{}", "b".repeat(54))]
        {
            assert_eq!(UserPoolId::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_arn_of_a_pool_is_taken_apart_and_nothing_else_is_one() {
        let arn =
            UserPoolArn::parse("arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_aB3dE5gH9").unwrap();
        let expected = UserPoolArn { region: "us-east-1", account_id: "123456789012", pool_id: "us-east-1_aB3dE5gH9" };
        assert_eq!(arn, expected);
        for wrong in [
            "",
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/",
            "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_a:userpool/us-east-1_b",
            "arn:aws:cognito-idp:us-east-1:123456789012:identitypool/us-east-1_a",
            "arn:aws:cognito-idp:us-east-1:userpool/us-east-1_a",
            "arn:aws:iam:us-east-1:123456789012:userpool/us-east-1_a",
            "us-east-1_a",
        ] {
            assert_eq!(UserPoolArn::parse(wrong), None, "{wrong}");
        }
    }
}
