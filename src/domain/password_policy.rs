//! The rules for passwords.

use crate::domain::error::{Error, Exception};
use crate::proto::v1::PasswordPolicyType;

/// The characters that count as symbols (guide: user-pool-settings-policies).
const SYMBOLS: &str = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+- ";

/// The characters of generated passwords, without look-alikes and without characters that mean something in HTML.
pub const GENERATED: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!#%*+-.:=?@_";
const GENERATED_LENGTH: usize = 16;

/// The length of a generated password, in characters.
pub fn generated_length(policy: &PasswordPolicyType) -> usize {
    usize::try_from(policy.minimum_length()).unwrap_or(0).max(GENERATED_LENGTH)
}

/// The most characters that a password may have.
const LONGEST: usize = 256;

/// Checks the form that the protos declare for password fields. Called for a password in a map, because maps have no
/// declared constraints: a password of another form could be set there but never sent in a field later.
pub fn check_form(password: &str) -> Result<(), Error> {
    let is_end = |character: Option<char>| character.is_some_and(|it| !it.is_whitespace());
    let has_ends = is_end(password.chars().next()) && is_end(password.chars().next_back());
    let length = password.chars().count();
    if length < 2 || !has_ends || password.contains('\n') {
        return Err(unconforming("Password must satisfy regular expression pattern: ^[\\S]+.*[\\S]+$"));
    }
    if length > LONGEST {
        return Err(unconforming("Password must have length less than or equal to 256"));
    }
    Ok(())
}

fn unconforming(broken: &str) -> Error {
    Error::new(Exception::InvalidPasswordException, format!("Password did not conform with policy: {broken}"))
}

/// Checks a password against a pool's policy. The error names the first rule that it breaks.
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
    Err(unconforming(broken))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::refusal;

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
    fn the_error_names_the_first_broken_rule() {
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
        assert_eq!(message("aaaa A1a"), None, "a space is a symbol");
    }

    #[test]
    fn a_password_neither_begins_nor_ends_with_a_space() {
        for good in ["ab", "a b", "two words", "пароль из слов", "a\tb", &"a".repeat(256)] {
            assert!(check_form(good).is_ok(), "{good:?}");
        }
        for wrong in ["", "a", " ", "  ", " ab", "ab ", "ab\u{a0}", "a\nb"] {
            let (exception, message) = refusal(check_form(wrong));
            assert_eq!(exception, Exception::InvalidPasswordException, "{wrong:?}");
            assert!(message.ends_with(r"pattern: ^[\S]+.*[\S]+$"), "{wrong:?}: {message}");
        }
        let message = refusal(check_form(&"a".repeat(257))).1;
        assert!(message.ends_with("Password must have length less than or equal to 256"), "{message}");
    }
}
