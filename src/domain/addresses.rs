//! E-mail addresses and phone numbers: which texts are valid, and the form in which they are compared.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

/// Whether a text has the form of an e-mail address.
pub fn is_email(text: &str) -> bool {
    mailbox(text).is_some()
}

/// The mailbox of an e-mail address, in the form that is compared and delivered to: the domain in its DNS form (UTS 46,
/// so that case, width, invisible characters and Punycode make no difference), the local part in NFC. The local part
/// keeps its case: each pool chooses whether case matters. `None` if the text is no address.
pub fn mailbox(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let forbidden = |character: char| character.is_whitespace() || character.is_control() || character == '@';
    if local.is_empty() || text.chars().any(|character| character != '@' && forbidden(character)) {
        return None;
    }
    let domain = Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify);
    let local: String = local.nfc().collect();
    if local.contains(forbidden) { None } else { Some(format!("{local}@{}", domain.ok()?)) }
}

/// Whether a text has the form of a phone number: a plus sign and up to 15 digits (E.164).
pub fn is_phone_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_have_a_local_part_and_a_domain() {
        for good in ["a@b", "jane.doe+x@example.com", "ü@exämple.org", "a@b.c"] {
            assert!(is_email(good), "{good}");
        }
        for wrong in
            ["", "a", "@b", "a@", "a@.b", "a@b.", "a@b..c", "a b@c", "a@b c", "a@b@c", "a@b\n", "a\0@b", "a@b\u{a0}"]
        {
            assert!(!is_email(wrong), "{wrong:?}");
        }
        // A domain that UTS 46 maps to nothing or to a delimiter is none, and a domain that is no DNS name can't be
        // delivered to.
        let long = format!("a@{}.example", "b".repeat(64));
        for wrong in [
            "a@\u{ad}",
            "a@\u{3002}b",
            "a@b\u{3002}",
            "a@b\u{ff20}c",
            "a@b\u{ff0f}c",
            "a@xn--a",
            "a@b<c",
            "a@\u{378}",
            &long,
        ] {
            assert!(!is_email(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_mailbox_has_one_form_however_it_is_spelled() {
        for spelled in
            ["jane@exam\u{ad}ple.com", "jane@\u{ff45}xample.com", "jane@EXAMPLE.com", "jane@example\u{3002}com"]
        {
            assert_eq!(mailbox(spelled).as_deref(), Some("jane@example.com"), "{spelled:?}");
        }
        for spelled in ["J@exämple.org", "J@exa\u{308}mple.org", "J@EXÄMPLE.ORG", "J@xn--exmple-cua.org"] {
            assert_eq!(mailbox(spelled).as_deref(), Some("J@xn--exmple-cua.org"), "{spelled:?}");
        }
        assert_eq!(mailbox("j\u{61}\u{308}ne@b"), mailbox("jäne@b"));
        assert_ne!(mailbox("Jane@b"), mailbox("jane@b"));
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_not(text in ".{0,40}") {
            if is_email(&text) {
                prop_assert_eq!(text.matches('@').count(), 1);
                let mailbox = mailbox(&text);
                prop_assert_eq!(mailbox.as_deref().and_then(super::mailbox), mailbox.clone());
                prop_assert!(mailbox.is_some_and(|it| it.rsplit_once('@').is_some_and(|(_, domain)| domain.is_ascii())));
                prop_assert!(!text.chars().any(|character| character.is_whitespace() || character.is_control()));
            }
        }

        #[test]
        fn plain_addresses_are_addresses(local in "[a-z0-9.+_-]{1,20}", domain in "[a-z0-9-]{1,20}([.][a-z]{2,5}){0,2}") {
            // A label with this prefix has to be valid Punycode.
            prop_assume!(!domain.starts_with("xn--"));
            let address = format!("{local}@{domain}");
            prop_assert!(is_email(&address));
        }

        #[test]
        fn a_phone_number_is_a_plus_and_up_to_fifteen_digits(text in "[+]?[0-9]{0,17}", other in ".{0,17}") {
            let digits = text.trim_start_matches('+');
            prop_assert_eq!(is_phone_number(&text), text.starts_with('+') && (1..=15).contains(&digits.len()));
            let plain = other.starts_with('+') && other[1..].bytes().all(|byte| byte.is_ascii_digit());
            prop_assert!(plain || !is_phone_number(&other));
        }
    }
}
