//! What a password must contain.

use crate::domain::error::{Error, Exception};
use crate::proto::v1::PasswordPolicyType;

/// The characters that count as symbols (guide: user-pool-settings-policies).
const SYMBOLS: &str = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- ";

/// The characters of generated passwords: none that look alike, none that mean something in HTML.
pub const GENERATED: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!#%*+-.:=?@_";
const GENERATED_LENGTH: usize = 16;

/// How long a generated password is.
pub fn generated_length(policy: &PasswordPolicyType) -> usize {
    usize::try_from(policy.minimum_length()).unwrap_or(0).max(GENERATED_LENGTH)
}

/// Whether a password conforms to a pool's policy. Names the first rule that it breaks.
pub fn check(policy: &PasswordPolicyType, password: &str) -> Result<(), Error> {
    let lacks = |required: bool, has: fn(char) -> bool| required && !password.chars().any(has);
    let length = i32::try_from(password.chars().count()).unwrap_or(i32::MAX);
    let broken = if length < policy.minimum_length.unwrap_or(8) {
        "Password not long enough"
    } else if lacks(policy.require_lowercase(), |it| it.is_ascii_lowercase()) {
        "Password must have lowercase characters"
    } else if lacks(policy.require_uppercase(), |it| it.is_ascii_uppercase()) {
        "Password must have uppercase characters"
    } else if lacks(policy.require_numbers(), |it| it.is_ascii_digit()) {
        "Password must have numeric characters"
    } else if lacks(policy.require_symbols(), |it| SYMBOLS.contains(it)) {
        "Password must have symbol characters"
    } else {
        return Ok(());
    };
    Err(Error::new(Exception::InvalidPasswordException, format!("Password did not conform with policy: {broken}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_password_can_conform_to_any_policy() {
        let policy = |minimum_length| PasswordPolicyType { minimum_length: Some(minimum_length), ..Default::default() };
        assert_eq!(generated_length(&policy(8)), 16);
        assert_eq!(generated_length(&policy(99)), 99);
        let strict = PasswordPolicyType {
            require_lowercase: Some(true),
            require_uppercase: Some(true),
            require_numbers: Some(true),
            require_symbols: Some(true),
            ..policy(16)
        };
        let all = String::from_utf8(GENERATED.to_vec()).unwrap();
        assert!(check(&strict, &all).is_ok());
        let known = |it: char| it.is_ascii_alphanumeric() || SYMBOLS.contains(it);
        assert!(all.chars().all(known) && !all.contains(['<', '>', '&', '"', '\'']));
    }

    #[test]
    fn names_the_first_rule_that_is_broken() {
        let policy = PasswordPolicyType {
            minimum_length: Some(8),
            require_lowercase: Some(true),
            require_uppercase: Some(true),
            require_numbers: Some(true),
            require_symbols: Some(true),
            ..Default::default()
        };
        let message = |password| check(&policy, password).err().map(|error| error.message.into_owned());
        let broken = |what: &str| Some(format!("Password did not conform with policy: {what}"));
        assert_eq!(message("aA1!"), broken("Password not long enough"));
        assert_eq!(message("AAAAAAA1!"), broken("Password must have lowercase characters"));
        assert_eq!(message("aaaaaaa1!"), broken("Password must have uppercase characters"));
        assert_eq!(message("aaaaaaaA!"), broken("Password must have numeric characters"));
        assert_eq!(message("aaaaaaA1"), broken("Password must have symbol characters"));
        assert_eq!(message("aaaaaA1!"), None);
    }
}
