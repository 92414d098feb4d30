//! Ids, each with its own type, so that they can't be confused.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares a newtype of a string that is only compared and shown.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// An id with this text, unchecked.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The id as text.
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
    /// A stream of the log within its pool: `pool`, `clients/<client id>`, `groups/<group id>`, `users/<sub>`,
    /// `devices/<device id>`.
    StreamId
}

impl UserPoolId {
    /// The pool id in this form, or `None` if the text has another one. For texts that no declared constraint has
    /// checked.
    pub fn parse(text: &str) -> Option<Self> {
        let (region, name) = text.rsplit_once('_')?;
        let word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        let formed = text.len() <= 55 && !region.is_empty() && !name.is_empty() && region.chars().all(word);
        (formed && name.chars().all(|character| character.is_ascii_alphanumeric())).then(|| Self::new(text))
    }

    /// The region, which the id begins with.
    pub fn region(&self) -> &str {
        self.0.rsplit_once('_').map_or("", |(region, _)| region)
    }

    /// The group of all devices in the pool: part of what a device's own password is hashed with.
    pub fn device_group_key(&self) -> String {
        format!("-{}", self.pool_name().get(..8).unwrap_or(self.pool_name()))
    }

    /// The part after the region: the pool's name in SRP.
    pub fn pool_name(&self) -> &str {
        self.0.split_once('_').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// Stands for no pool in places that need an id: facts about service accounts.
    pub fn none() -> Self {
        Self("-".to_owned())
    }
}

/// The ARN of a user pool in its parts: `arn:aws:cognito-idp:<region>:<account>:userpool/<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPoolArn<'a> {
    /// The AWS region, such as `us-east-1`.
    pub region: &'a str,
    /// The 12 digits of an AWS account.
    pub account_id: &'a str,
    /// The id of the pool, not yet checked for its form.
    pub pool_id: &'a str,
}

impl<'a> UserPoolArn<'a> {
    /// Splits a text that has the form of a pool's ARN.
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

/// The id of a user's password: a new password gets a new id; hashing the same password again keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordId(pub Uuid);

/// A passkey's id: a keyed hash of its credential id, so that no two passkeys of a pool share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasskeyId(pub Uuid);

impl fmt::Display for PasskeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PasskeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PasskeyId {
    /// The id whose bytes begin with these.
    pub fn of_hash(hash: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = *hashed);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The passkey id in this text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A group's id: a later group of the same name has another one.
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
    /// The group id in this text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// A device's id: a random UUID that is never used again. Apps know it as the device's key, `<region>_<id>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub Uuid);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl DeviceId {
    /// The device id in this text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// The device whose key this is, if it is the key of a device in this pool.
    pub fn of_key(pool: &UserPoolId, key: &str) -> Option<Self> {
        let id = Self::parse(key.strip_prefix(pool.region())?.strip_prefix('_')?)?;
        // A UUID can be written in several ways; a key in one.
        (id.key(pool) == key).then_some(id)
    }

    /// The key by which apps know the device: `<region>_<id>`.
    pub fn key(self, pool: &UserPoolId) -> String {
        format!("{}_{self}", pool.region())
    }
}

impl StreamId {
    /// The stream of the pool itself.
    pub fn pool() -> Self {
        Self("pool".to_owned())
    }

    /// The stream of an app client: `clients/<client id>`.
    pub fn client(id: &ClientId) -> Self {
        Self(format!("clients/{id}"))
    }

    /// The stream of a group: `groups/<group id>`.
    pub fn group(id: GroupId) -> Self {
        Self(format!("groups/{id}"))
    }

    /// The stream of a user: `users/<sub>`.
    pub fn user(sub: Sub) -> Self {
        Self(format!("users/{sub}"))
    }

    /// The stream of a device: `devices/<device id>`.
    pub fn device(id: DeviceId) -> Self {
        Self(format!("devices/{id}"))
    }

    /// The id part of the stream, without its kind: on Kafka, events of one owner keep their order.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(_, owner)| owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_of_the_right_form_are_pool_ids() {
        let id = UserPoolId::parse("us-east-1_aB3dE5gH9").unwrap();
        assert_eq!((id.region(), id.pool_name()), ("us-east-1", "aB3dE5gH9"));
        for wrong in
            ["", "_", "a_", "_a", "us-east-1", "a_b c", "a_\0", "a\0_b", "é_b", &format!("a_{}", "b".repeat(54))]
        {
            assert_eq!(UserPoolId::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_device_has_one_key_in_its_pool() {
        let pool = UserPoolId::new("us-east-1_aB3dE5gH9");
        let id = DeviceId(Uuid::from_u128(0xa));
        let key = id.key(&pool);
        assert_eq!(key, "us-east-1_00000000-0000-0000-0000-00000000000a");
        assert_eq!(DeviceId::of_key(&pool, &key), Some(id));
        for wrong in ["", "us-east-1_", "00000000-0000-0000-0000-00000000000a", &key.replace("east", "west")] {
            assert_eq!(DeviceId::of_key(&pool, wrong), None, "{wrong}");
        }
        for other_form in [key.to_uppercase().replace("US-EAST", "us-east"), key.replace("0000-0000", "00000000")] {
            assert_eq!(DeviceId::of_key(&pool, &other_form), None, "{other_form}");
        }
        assert_eq!(pool.device_group_key(), "-aB3dE5gH");
    }

    #[test]
    fn only_the_arn_of_a_pool_is_parsed() {
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
