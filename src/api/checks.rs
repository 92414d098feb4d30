//! The constraints that the protos declare, checked with Cognito's own sentences.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use regex::Regex;

use crate::domain::error::{Error, FieldViolation};
use crate::domain::trigger::function::loopback_url;

include!(concat!(env!("OUT_DIR"), "/checks.rs"));

/// A message whose declared constraints can be checked.
pub trait Check {
    /// Adds a violation for each constraint that does not hold.
    fn check(&self, checker: &mut Checker);
    /// Removes later duplicates from each list of texts: such lists are sets, and many clients send duplicates.
    fn drop_doubles(&mut self);
}

fn once_each(texts: &mut Vec<String>) {
    let mut seen = HashSet::new();
    texts.retain(|text| seen.insert(text.clone()));
}

/// Checks a message: all violations in one error, as Cognito joins them. In development, functions may be endpoints of this
/// machine.
pub fn check(message: &impl Check, in_development: bool) -> Result<(), Error> {
    let mut checker = Checker { in_development, ..Checker::default() };
    message.check(&mut checker);
    let Checker { violations, untold, .. } = checker;
    if violations.is_empty() {
        return Ok(());
    }
    let sentences: Vec<_> = violations.iter().map(|violation| violation.description.as_str()).collect();
    let count = violations.len() + untold;
    let plural = if count == 1 { "" } else { "s" };
    let mut message = format!("{count} validation error{plural} detected: {}", sentences.join("; "));
    if untold > 0 {
        message.push_str(&format!("; and {untold} more"));
    }
    Err(Error { fields: violations, ..Error::invalid_parameter(message) })
}

/// A constraint that a proto declares for a field.
pub enum Rule {
    /// The least number of characters, bytes, items or pairs.
    MinSize(i64),
    /// The greatest number of characters, bytes, items or pairs.
    MaxSize(i64),
    /// The least number, itself allowed.
    Min(i64),
    /// The greatest number, itself allowed.
    Max(i64),
    /// The pattern that the whole text matches.
    Pattern(&'static Pattern),
    /// The allowed texts, compared byte by byte.
    In(&'static [&'static str]),
}

/// A pattern: compiled when it is first needed, shown as Cognito shows it.
pub struct Pattern {
    regex: &'static str,
    shown: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    const fn new(regex: &'static str, shown: &'static str) -> Self {
        Self { regex, shown, compiled: OnceLock::new() }
    }

    /// Whether the whole text matches. A pattern that does not compile matches nothing; a test compiles them all.
    fn matches(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(self.regex).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// A value that rules apply to.
pub trait Value {
    /// Its size in characters, bytes, items or pairs; a number has none.
    fn size(&self) -> Option<i64> {
        None
    }
    /// The text that patterns and sets of texts apply to; absent for other types.
    fn text(&self) -> Option<&str> {
        None
    }
    /// The number that `Min` and `Max` apply to; absent for other types.
    fn number(&self) -> Option<i64> {
        None
    }
}

impl Value for String {
    fn size(&self) -> Option<i64> {
        i64::try_from(self.chars().count()).ok()
    }
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl Value for Vec<u8> {
    fn size(&self) -> Option<i64> {
        i64::try_from(self.len()).ok()
    }
}

impl Value for i32 {
    fn number(&self) -> Option<i64> {
        Some(i64::from(*self))
    }
}

struct Size(usize);

impl Value for Size {
    fn size(&self) -> Option<i64> {
        i64::try_from(self.0).ok()
    }
}

impl Rule {
    /// Whether a value breaks the rule.
    fn is_broken_by(&self, value: &impl Value) -> bool {
        match self {
            Self::MinSize(min) => value.size().is_some_and(|size| size < *min),
            Self::MaxSize(max) => value.size().is_some_and(|size| size > *max),
            Self::Min(min) => value.number().is_some_and(|number| number < *min),
            Self::Max(max) => value.number().is_some_and(|number| number > *max),
            Self::Pattern(pattern) => value.text().is_some_and(|text| !pattern.matches(text)),
            Self::In(values) => value.text().is_some_and(|text| !values.contains(&text)),
        }
    }

    /// Cognito's sentence about the rule.
    fn sentence(&self) -> String {
        match self {
            Self::MinSize(min) => format!("Member must have length greater than or equal to {min}"),
            Self::MaxSize(max) => format!("Member must have length less than or equal to {max}"),
            Self::Min(min) => format!("Member must have value greater than or equal to {min}"),
            Self::Max(max) => format!("Member must have value less than or equal to {max}"),
            Self::Pattern(pattern) => format!("Member must satisfy regular expression pattern: {}", pattern.shown),
            Self::In(values) => format!("Member must satisfy enum value set: [{}]", values.join(", ")),
        }
    }

    /// Cognito's sentence about the rule if the value breaks it.
    fn broken_by(&self, value: &impl Value) -> Option<String> {
        self.is_broken_by(value).then(|| self.sentence())
    }

    /// The rule's place in the sentence about an element; if one rule is broken, Cognito names all of them.
    fn rank(&self) -> u8 {
        match self {
            Self::MaxSize(_) | Self::Max(_) => 0,
            Self::MinSize(_) | Self::Min(_) => 1,
            Self::Pattern(_) => 2,
            Self::In(_) => 3,
        }
    }
}

/// Postgres can't store this character. The sentence is ours, not Cognito's.
const NULL_CHARACTER: &str = "Member must not contain the character U+0000";

fn has_null_character(value: &impl Value) -> bool {
    value.text().is_some_and(|text| text.contains('\0'))
}

/// Cognito's sentences about the rules that a value breaks, and ours about the null character.
fn broken(rules: &[Rule], value: &impl Value) -> impl Iterator<Item = String> {
    let null = has_null_character(value).then(|| NULL_CHARACTER.to_owned());
    rules.iter().filter_map(|rule| rule.broken_by(value)).chain(null)
}

/// Cognito's sentence about an element that breaks one of its rules: it lists all rules.
fn of_element(rules: &[Rule]) -> String {
    let mut rules: Vec<_> = rules.iter().collect();
    rules.sort_by_key(|rule| rule.rank());
    rules.into_iter().map(Rule::sentence).collect::<Vec<_>>().join(", ")
}

/// How a sentence shows the value that breaks a rule.
enum Shown {
    /// The value is absent.
    Null,
    /// The text of the value.
    Value(String),
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str(" null"),
            Self::Value(value) => write!(f, " '{value}'"),
        }
    }
}

impl Shown {
    /// The value, unless it is sensitive, too long, or holds a null character.
    fn value(sensitive: bool, value: impl FnOnce() -> Option<String>) -> Option<Self> {
        let value = if sensitive { None } else { value() };
        value.filter(|value| value.len() <= LONGEST_SHOWN && !value.contains('\0')).map(Self::Value)
    }

    /// The texts of a list, under the same conditions.
    fn list<T: Value>(sensitive: bool, list: &[T]) -> Option<Self> {
        Self::value(sensitive, || {
            let texts: Option<Vec<_>> = list.iter().take(LONGEST_SHOWN).map(Value::text).collect();
            texts.filter(|texts| !texts.is_empty()).map(|texts| format!("[{}]", texts.join(", ")))
        })
    }
}

/// Collects violations while a message is walked.
#[derive(Default)]
pub struct Checker {
    in_development: bool,
    path: String,
    violations: Vec<FieldViolation>,
    /// Length of all sentences so far, in bytes.
    told: usize,
    /// Number of violations beyond `LONGEST_TOLD`, which are only counted.
    untold: usize,
}

/// The sentence about elements if one of them breaks a rule.
fn element<'a, T: Value + 'a>(mut elements: impl Iterator<Item = &'a T> + Clone, rules: &[Rule]) -> Option<String> {
    let mut all = elements.clone();
    if all.any(|element| rules.iter().any(|rule| rule.is_broken_by(element))) {
        return Some(of_element(rules));
    }
    elements.any(has_null_character).then(|| NULL_CHARACTER.to_owned())
}

/// Most bytes of sentences in one error: it must fit into the trailers and headers that clients read, often 8 KiB.
const LONGEST_TOLD: usize = 2048;

/// Most bytes of a value that a sentence shows.
const LONGEST_SHOWN: usize = 128;

impl Checker {
    fn violation(&mut self, name: &str, shown: Option<Shown>, sentence: &str) {
        if self.told > LONGEST_TOLD {
            self.untold += 1;
            return;
        }
        let field = format!("{}{name}", self.path);
        let value = shown.map(|value| value.to_string()).unwrap_or_default();
        let description = format!("Value{value} at '{field}' failed to satisfy constraint: {sentence}");
        self.told += field.len() + description.len();
        self.violations.push(FieldViolation { field, description });
    }

    fn required(&mut self, name: &str, sensitive: bool, present: bool) {
        if !present {
            self.violation(name, (!sensitive).then_some(Shown::Null), "Member must not be null");
        }
    }

    fn field(&mut self, name: &str, sensitive: bool, value: &impl Value, rules: &[Rule]) {
        for sentence in broken(rules, value) {
            let number = || value.number().map(|number| number.to_string());
            let shown = Shown::value(sensitive, || value.text().map(str::to_owned).or_else(number));
            self.violation(name, shown, &sentence);
        }
    }

    fn function(&mut self, name: &str, sensitive: bool, value: &String, rules: &[Rule]) {
        let is_endpoint = self.in_development && loopback_url(value).is_some();
        self.field(name, sensitive, value, if is_endpoint { &[] } else { rules });
    }

    fn list<T: Value>(&mut self, name: &str, sensitive: bool, list: &[T], size: &[Rule], items: &[Rule]) {
        // An empty list counts as absent: whether it is required is another rule.
        let sizes = size.iter().filter(|_| !list.is_empty()).filter_map(|rule| rule.broken_by(&Size(list.len())));
        let elements = element(list.iter(), items).map(|broken| format!("Member must satisfy constraint: [{broken}]"));
        for sentence in sizes.chain(elements).collect::<Vec<_>>() {
            self.violation(name, Shown::list(sensitive, list), &sentence);
        }
    }

    fn map<T: Value>(&mut self, name: &str, map: &BTreeMap<String, T>, size: &[Rule], keys: &[Rule], values: &[Rule]) {
        let sizes = size.iter().filter_map(|rule| rule.broken_by(&Size(map.len())));
        let keys = element(map.keys(), keys).map(|broken| format!("Map keys must satisfy constraint: [{broken}]"));
        let values =
            element(map.values(), values).map(|broken| format!("Map value must satisfy constraint: [{broken}]"));
        for sentence in sizes.chain(keys).chain(values).collect::<Vec<_>>() {
            self.violation(name, None, &sentence);
        }
    }

    fn nested(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(name);
        self.path.push('.');
        check(self);
        self.path.truncate(length);
    }

    fn member(&mut self, name: &str, index: usize, check: impl FnOnce(&mut Self)) {
        self.nested(&format!("{name}.{}.member", index + 1), check);
    }

    fn value(&mut self, name: &str, key: &str, check: impl FnOnce(&mut Self)) {
        let key = if key.len() <= LONGEST_SHOWN { key } else { "…" };
        self.nested(&format!("{name}.{key}.member"), check);
    }
}

/// A message has no size of its own: its fields have the rules.
impl<T: Check> Value for T {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::v1;

    /// The sentences about a value, by the field's path.
    fn told(walk: impl FnOnce(&mut Checker)) -> Vec<String> {
        let mut checker = Checker::default();
        walk(&mut checker);
        checker.violations.into_iter().map(|violation| violation.description).collect()
    }

    fn of_value(value: &impl Value, rules: &[Rule]) -> Vec<String> {
        told(|checker| checker.field("field", false, value, rules))
    }

    fn pattern(shown: &str) -> &'static Pattern {
        PATTERNS.iter().copied().find(|pattern| pattern.shown == shown).unwrap()
    }

    #[test]
    fn every_pattern_compiles_and_is_bound_at_both_ends() {
        assert!(PATTERNS.len() > 20);
        for pattern in PATTERNS {
            assert!(Regex::new(pattern.regex).is_ok(), "{}", pattern.shown);
            assert!(pattern.regex.starts_with(r"\A(?:") && pattern.regex.ends_with(r")\z"), "{}", pattern.shown);
        }
    }

    #[test]
    fn a_pattern_must_match_the_whole_text() {
        let name = pattern(r"[\w\s+=,.@-]+");
        assert!(name.matches("a name, of two words"));
        assert!(!name.matches("a!"));
        assert!(!name.matches("!\na name"));
        assert!(!pattern(r"[\w-]+_[0-9a-zA-Z]+").matches("us-east-1_abc\n"));
    }

    #[test]
    fn words_digits_and_spaces_are_ascii_and_properties_are_unicode() {
        let word = pattern(r"[\w+]+");
        assert!(word.matches("Az09_+"));
        assert!(!word.matches("é") && !word.matches("٣"));
        assert!(pattern(r"[\w\s+=,.@-]+").matches("a \t\n\r\u{b}\u{c}b"));
        assert!(!pattern(r"[\w\s+=,.@-]+").matches("a\u{a0}b"));
        let letters = pattern(r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+");
        assert!(letters.matches("žluťoučký") && letters.matches("東京") && letters.matches("٣€!"));
        assert!(!letters.matches("a b") && !letters.matches("a\0"));
        assert!(pattern(r"[\S]+").matches("пароль"));
        assert!(!pattern(r"[\S]+").matches("a\u{2003}b"), "a space of Unicode is a space here");
    }

    #[test]
    fn a_password_may_have_spaces_inside() {
        let judged = |password: &str| {
            let request = v1::SignUpRequest {
                client_id: Some("a".to_owned()),
                username: Some("jane".to_owned()),
                password: Some(password.to_owned()),
                ..Default::default()
            };
            check(&request, false).map_err(|error| error.message.into_owned())
        };
        for good in ["two words", "a  b c", "ab", "пароль из слов"] {
            assert_eq!(judged(good), Ok(()), "{good:?}");
        }
        let sentence = r"1 validation error detected: Value at 'password' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[\S]+.*[\S]+$";
        for wrong in ["", "a", " ab", "ab ", "a\nb"] {
            assert_eq!(judged(wrong), Err(sentence.to_owned()), "{wrong:?}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let rules = [Rule::MinSize(2), Rule::MaxSize(3)];
        let too_short =
            "Value 'é' at 'field' failed to satisfy constraint: Member must have length greater than or equal to 2";
        let too_long =
            "Value '東京都心' at 'field' failed to satisfy constraint: Member must have length less than or equal to 3";
        assert_eq!(of_value(&"é".to_owned(), &rules), [too_short]);
        assert_eq!(of_value(&"éé".to_owned(), &rules), [""; 0]);
        assert_eq!(of_value(&"東京都".to_owned(), &rules), [""; 0]);
        assert_eq!(of_value(&"東京都心".to_owned(), &rules), [too_long]);
        assert_eq!(of_value(&vec![0_u8; 4], &rules).len(), 1);
        assert_eq!(of_value(&vec![0_u8; 3], &rules).len(), 0);
    }

    #[test]
    fn bounds_of_numbers_are_inclusive() {
        let rules = [Rule::Min(-1), Rule::Max(5)];
        for inside in [-1, 0, 5] {
            assert_eq!(of_value(&inside, &rules), [""; 0]);
        }
        assert_eq!(
            of_value(&-2, &rules),
            ["Value '-2' at 'field' failed to satisfy constraint: Member must have value greater than or equal to -1"]
        );
        assert_eq!(
            of_value(&6, &rules),
            ["Value '6' at 'field' failed to satisfy constraint: Member must have value less than or equal to 5"]
        );
    }

    #[test]
    fn a_wrong_choice_is_answered_with_all_choices() {
        let rules = [Rule::In(&["OFF", "ON"])];
        assert_eq!(of_value(&"ON".to_owned(), &rules), [""; 0]);
        let expected =
            "Value 'on' at 'field' failed to satisfy constraint: Member must satisfy enum value set: [OFF, ON]";
        assert_eq!(of_value(&"on".to_owned(), &rules), [expected]);
    }

    #[test]
    fn a_pattern_is_shown_without_its_anchors() {
        let told = of_value(&"a b".to_owned(), &[Rule::Pattern(pattern(r"[\w+]+"))]);
        let sentence = r"Value 'a b' at 'field' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+]+";
        assert_eq!(told, [sentence]);
    }

    #[test]
    fn required_fields_must_be_present() {
        assert_eq!(told(|checker| checker.required("field", false, true)), [""; 0]);
        assert_eq!(
            told(|checker| checker.required("field", false, false)),
            ["Value null at 'field' failed to satisfy constraint: Member must not be null"]
        );
        assert_eq!(
            told(|checker| checker.required("password", true, false)),
            ["Value at 'password' failed to satisfy constraint: Member must not be null"]
        );
    }

    #[test]
    fn sensitive_and_very_long_values_are_not_repeated() {
        let rules = [Rule::MaxSize(3)];
        let sensitive = told(|checker| checker.field("password", true, &"hunter2".to_owned(), &rules));
        let expected =
            "Value at 'password' failed to satisfy constraint: Member must have length less than or equal to 3";
        assert_eq!(sensitive, [expected]);
        let long = of_value(&"a".repeat(LONGEST_SHOWN + 1), &rules);
        assert_eq!(long, [expected.replace("password", "field")]);
    }

    #[test]
    fn lists_have_sizes_and_items() {
        let list = |values: &[&str], size: &[Rule], items: &[Rule]| {
            let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
            told(|checker| checker.list("list", false, &values, size, items))
        };
        let sizes = [Rule::MinSize(2), Rule::MaxSize(3)];
        assert_eq!(list(&[], &sizes, &[]), [""; 0], "an empty list is one that is not there");
        assert_eq!(list(&["a", "b", "c"], &sizes, &[]), [""; 0]);
        let about = |values: &str| format!("Value '[{values}]' at 'list' failed to satisfy constraint: ");
        let small = format!("{}Member must have length greater than or equal to 2", about("a"));
        let large = format!("{}Member must have length less than or equal to 3", about("a, a, a, a"));
        assert_eq!(list(&["a"], &sizes, &[]), [small]);
        assert_eq!(list(&["a"; 4], &sizes, &[]), [large]);
        // All rules of an item are listed, once for all items, the largest length before the smallest.
        let items = [Rule::MinSize(1), Rule::MaxSize(1), Rule::In(&["a", "b"])];
        let item = format!(
            "{}Member must satisfy constraint: [Member must have length less than or equal to 1, Member must have length \
             greater than or equal to 1, Member must satisfy enum value set: [a, b]]",
            about("a, bb, cc")
        );
        assert_eq!(list(&["a", "bb", "cc"], &sizes, &items), [item]);
        let hidden = told(|checker| checker.list("list", true, &["cc".to_owned()], &[], &items[2..]));
        let sentence = "Member must satisfy constraint: [Member must satisfy enum value set: [a, b]]";
        assert_eq!(hidden, [format!("Value at 'list' failed to satisfy constraint: {sentence}")]);
    }

    #[test]
    fn maps_have_sizes_keys_and_values() {
        let map = |pairs: &[(&str, &str)]| {
            let pairs: BTreeMap<_, _> =
                pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            told(|checker| checker.map("map", &pairs, &[Rule::MaxSize(2)], &[Rule::MaxSize(2)], &[Rule::MinSize(1)]))
        };
        assert_eq!(map(&[("a", "1"), ("bb", "2")]), [""; 0]);
        let about = "Value at 'map' failed to satisfy constraint: ";
        let large = format!("{about}Member must have length less than or equal to 2");
        let key = format!("{about}Map keys must satisfy constraint: [Member must have length less than or equal to 2]");
        let value =
            format!("{about}Map value must satisfy constraint: [Member must have length greater than or equal to 1]");
        assert_eq!(map(&[("a", "1"), ("b", "2"), ("c", "3")]), [large]);
        assert_eq!(map(&[("ccc", "1")]), [key]);
        assert_eq!(map(&[("a", "")]), [value]);
    }

    #[test]
    fn nested_violations_are_named_by_path_and_reported_together() {
        let attribute = |name: Option<&str>| v1::AttributeType { name: name.map(str::to_owned), value: None };
        let acr = v1::AcrLevelConfigType { acr_value: Some(String::new()) };
        let request = v1::CreateUserPoolRequest {
            policies: Some(v1::UserPoolPolicyType {
                password_policy: Some(v1::PasswordPolicyType { minimum_length: Some(5), ..Default::default() }),
                ..Default::default()
            }),
            acr_configuration: [("Level1".to_owned(), acr)].into(),
            ..Default::default()
        };
        let error = check(&request, false).unwrap_err();
        let paths: Vec<_> = error.fields.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(paths[..2], ["poolName", "policies.passwordPolicy.minimumLength"]);
        assert!(paths[2..].iter().all(|path| *path == "acrConfiguration.Level1.member.acrValue"), "{paths:?}");
        assert!(
            error
                .message
                .starts_with(&format!("{} validation errors detected: Value null at 'poolName' failed", paths.len()))
        );
        for violation in &error.fields {
            assert!(error.message.contains(&violation.description));
        }
        let request = v1::SignUpRequest {
            client_id: Some("a".to_owned()),
            username: Some("jane".to_owned()),
            user_attributes: vec![attribute(Some("email")), attribute(None)],
            ..Default::default()
        };
        let error = check(&request, false).unwrap_err();
        assert_eq!(error.fields.len(), 1);
        assert_eq!(error.fields[0].field, "userAttributes.2.member.name");
        assert!(error.message.starts_with("1 validation error detected: "));
    }

    #[test]
    fn no_text_may_hold_the_null_character() {
        let name = |value: &str| v1::AttributeType { name: Some("name".to_owned()), value: Some(value.to_owned()) };
        let request = v1::SignUpRequest {
            client_id: Some("a".to_owned()),
            username: Some("jane".to_owned()),
            user_attributes: vec![name("plain"), name("a\0b")],
            client_metadata: [("key".to_owned(), "\0".to_owned())].into(),
            ..Default::default()
        };
        let error = check(&request, false).unwrap_err();
        let paths: Vec<_> = error.fields.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(paths, ["userAttributes.2.member.value", "clientMetadata"]);
        assert!(error.message.contains("U+0000") && !error.message.contains('\0'), "{}", error.message);
    }

    #[test]
    fn many_violations_are_reported_and_the_rest_is_counted() {
        let attribute = v1::AttributeType::default();
        let request = v1::SignUpRequest {
            client_id: Some("a".to_owned()),
            username: Some("jane".to_owned()),
            user_attributes: vec![attribute; 10_000],
            ..Default::default()
        };
        let error = check(&request, false).unwrap_err();
        // And the error says how many there are.
        assert!(error.message.starts_with("10001 validation errors detected: "), "{}", error.message);
        assert!(error.message.ends_with(&format!("; and {} more", 10_001 - error.fields.len())), "{}", error.message);
        assert!(error.fields.len() > 10 && error.message.len() < 2 * LONGEST_TOLD);
    }

    #[test]
    fn lists_name_each_text_once_at_every_depth() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let scopes = ["openid", "email", "openid", "email", "phone"];
        let mut client = v1::CreateUserPoolClientRequest { allowed_oauth_scopes: texts(&scopes), ..Default::default() };
        client.drop_doubles();
        assert_eq!(client.allowed_oauth_scopes, ["openid", "email", "phone"]);
        let update = v1::UserAttributeUpdateSettingsType {
            attributes_require_verification_before_update: texts(&["email", "email"]),
        };
        let mut pool = v1::UpdateUserPoolRequest { user_attribute_update_settings: Some(update), ..Default::default() };
        pool.drop_doubles();
        let update = pool.user_attribute_update_settings.unwrap();
        assert_eq!(update.attributes_require_verification_before_update, ["email"]);
    }

    proptest! {
        #[test]
        fn any_text_is_judged_by_every_pattern(text in ".{0,64}") {
            for pattern in PATTERNS {
                pattern.matches(&text);
            }
        }
    }

    #[test]
    fn in_development_a_function_may_be_an_endpoint_of_this_machine() {
        let named = |function: &str, in_development| {
            let config = v1::LambdaConfigType { pre_sign_up: Some(function.to_owned()), ..Default::default() };
            let pool_name = Some("people".to_owned());
            let request = v1::CreateUserPoolRequest { pool_name, lambda_config: Some(config), ..Default::default() };
            check(&request, in_development).map_err(|error| error.message.into_owned())
        };
        assert_eq!(named("http://[::1]:80", true), Ok(()));
        let sentence = r"Member must satisfy regular expression pattern: arn:[\w+=/,.@-]+:";
        for (function, in_development) in [
            ("http://127.0.0.1:3000/hook", false),
            ("http://example.com/hook/of/mine", true),
            ("no function at all", true),
        ] {
            let told = named(function, in_development).unwrap_err();
            assert!(told.contains(sentence) && told.contains("'lambdaConfig.preSignUp'"), "{told}");
        }
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:gate";
        assert_eq!(named(arn, true), Ok(()));
    }
}
