//! ListUsers: how a filter is parsed, what it searches for, and which attributes are shown.

use uuid::Uuid;

use crate::domain::error::Error;
use crate::domain::user::search::{LONGEST_SEARCHABLE, SearchAttribute};
use crate::domain::user_pool::NameRules;
use crate::proto::v1;

/// One attribute compared with a value: `email = "jane@example.com"`, `family_name ^= "D"`.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter {
    /// The attribute on the left of the operator.
    pub attribute: SearchAttribute,
    /// The operator, for equality or a prefix.
    pub comparison: Comparison,
    /// The value in quotation marks, unescaped.
    pub value: String,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.attribute.name(), self.comparison)
    }
}

impl std::fmt::Display for Filter {
    /// Shows the filter in one canonical form.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operator = match self.comparison {
            Comparison::Equal => "=",
            Comparison::Prefix => "^=",
        };
        write!(f, "{} {operator} {}", self.attribute.name(), self.value)
    }
}

/// How a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`: the whole value.
    Equal,
    /// `^=`: the beginning of the value.
    Prefix,
}

/// What a list searches for, as a range of an index.
#[derive(Clone, PartialEq, Eq)]
pub enum Search {
    /// Users by `sub`, from the first id to the last, both included.
    Subs(Uuid, Uuid),
    /// Users with one value of an attribute.
    Value(SearchAttribute, String),
    /// Users with values of an attribute from the first value on, and before the second.
    Values(SearchAttribute, String, String),
    /// A filter that no user can match.
    Nobody,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Search")
    }
}

/// Parses a filter. An empty one, or one of spaces only, filters nothing.
pub fn parse_filter(text: &str) -> Result<Option<Filter>, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = attribute_name(text).and_then(|(name, rest)| {
        let (comparison, rest) = comparison(rest.trim_start())?;
        Some((name, comparison, value(rest.trim_start())?))
    });
    let (name, comparison, value) = parsed.ok_or_else(|| Error::invalid_parameter("Error while parsing filter"))?;
    let attribute = SearchAttribute::ALL.into_iter().find(|attribute| attribute.name() == name);
    let attribute = attribute.ok_or_else(|| Error::invalid_parameter(format!("Invalid search attribute: {name}")))?;
    Ok(Some(Filter { attribute, comparison, value }))
}

/// The attribute's name, with or without quotation marks, and the rest of the text.
fn attribute_name(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"');
    }
    let end = text.find(|character: char| character.is_whitespace() || matches!(character, '=' | '^' | '"'));
    Some(text.split_at(end?)).filter(|(name, _)| !name.is_empty())
}

fn comparison(text: &str) -> Option<(Comparison, &str)> {
    let prefix = text.strip_prefix("^=").map(|rest| (Comparison::Prefix, rest));
    prefix.or_else(|| text.strip_prefix('=').map(|rest| (Comparison::Equal, rest)))
}

/// A value in quotation marks, with nothing after it. A backslash escapes a quotation mark or a backslash.
fn value(text: &str) -> Option<String> {
    let quoted = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return characters.as_str().is_empty().then_some(value),
            '\\' => value.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            // No text in the database can contain it, and Postgres refuses it in a parameter.
            '\0' => return None,
            other => value.push(other),
        }
    }
    None
}

/// What a filter searches for in a pool.
pub fn search(filter: Option<&Filter>, rules: &NameRules) -> Search {
    let Some(Filter { attribute, comparison, value }) = filter else {
        return Search::Subs(Uuid::nil(), Uuid::max());
    };
    let compared = attribute.compared(rules, value);
    match (attribute, comparison) {
        (SearchAttribute::Sub, Comparison::Equal) => {
            // Only the usual form with hyphens is a `sub`.
            let sub = compared.parse::<Uuid>().ok().filter(|sub| sub.to_string() == compared);
            sub.map_or(Search::Nobody, |sub| Search::Subs(sub, sub))
        }
        (SearchAttribute::Sub, Comparison::Prefix) => {
            subs_from(&compared).map_or(Search::Nobody, |(first, last)| Search::Subs(first, last))
        }
        (_, Comparison::Equal) => Search::Value(*attribute, compared),
        (_, Comparison::Prefix) => {
            let end = after_prefix(&compared);
            Search::Values(*attribute, compared, end)
        }
    }
}

/// The first and the last id with this prefix; `None` if no id can have it.
fn subs_from(prefix: &str) -> Option<(Uuid, Uuid)> {
    let filled = |filler: char| {
        let form = Uuid::nil().to_string();
        let rest = form.chars().skip(prefix.chars().count());
        let text: String = prefix.chars().chain(rest.map(|place| if place == '-' { '-' } else { filler })).collect();
        text.parse::<Uuid>().ok().filter(|id| id.to_string() == text)
    };
    filled('0').zip(filled('f'))
}

/// The first text after all texts with this prefix, in the order of characters.
fn after_prefix(prefix: &str) -> String {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        if let Some(next) = following(last) {
            end.push(next);
            return end.into_iter().collect();
        }
    }
    // Longer than any value, so it is after all of them.
    std::iter::repeat_n(char::MAX, LONGEST_SEARCHABLE + 1).collect()
}

fn following(character: char) -> Option<char> {
    // The surrogates between these two are not characters.
    if character == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(character) + 1) }
}

/// Checks that the requested attributes are in the pool's schema.
pub fn check_attributes_to_get(schema: &[v1::SchemaAttributeType], names: &[String]) -> Result<(), Error> {
    let exists = |name: &String| schema.iter().any(|attribute| attribute.name() == name);
    if names.iter().all(exists) { Ok(()) } else { Err(not_there()) }
}

fn not_there() -> Error {
    Error::invalid_parameter("One or more requested attributes do not exist.")
}

/// The requested attributes of a user, or all if none is named. As in Cognito, the user must have each of them.
pub fn attributes_to_get(shown: Vec<v1::AttributeType>, names: &[String]) -> Result<Vec<v1::AttributeType>, Error> {
    if names.is_empty() {
        return Ok(shown);
    }
    if names.iter().any(|name| !shown.iter().any(|it| it.name() == name)) {
        return Err(not_there());
    }
    Ok(shown.into_iter().filter(|attribute| names.iter().any(|name| name == attribute.name())).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::attributes;
    use crate::domain::error::Exception;
    use crate::domain::testing::{refusal, texts, written};

    fn parsed(text: &str) -> (SearchAttribute, Comparison, String) {
        let filter = parse_filter(text).unwrap().expect("a filter");
        (filter.attribute, filter.comparison, filter.value)
    }

    #[test]
    fn each_attribute_is_compared_as_a_whole_or_by_its_beginning() {
        for attribute in SearchAttribute::ALL {
            let (equal, prefix) = (format!("{} = \"a\"", attribute.name()), format!("{} ^= \"a\"", attribute.name()));
            assert_eq!(parsed(&equal), (attribute, Comparison::Equal, "a".to_owned()));
            assert_eq!(parsed(&prefix), (attribute, Comparison::Prefix, "a".to_owned()));
        }
    }

    #[test]
    fn spaces_around_the_parts_do_not_matter_and_those_in_a_value_do() {
        let expected = (SearchAttribute::Name, Comparison::Prefix, " Jane  Doe ".to_owned());
        for text in ["name^=\" Jane  Doe \"", "  name   ^=   \" Jane  Doe \"  ", "\tname\n^=\r\n\" Jane  Doe \""] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
        for empty in ["", "   ", "\t\n"] {
            assert_eq!(parse_filter(empty).unwrap(), None);
        }
    }

    #[test]
    fn quotation_marks_and_backslashes_are_escaped() {
        assert_eq!(parsed(r#"name = "say \"hi\" \\ bye""#).2, r#"say "hi" \ bye"#);
        assert_eq!(parsed(r#"name = "a = \"b\"""#).2, r#"a = "b""#);
        assert_eq!(parsed(r#"email ^= """#).2, "");
    }

    #[test]
    fn an_invalid_filter_is_refused_as_in_cognito() {
        let unreadable = [
            "email",
            "\"email\"",
            "\"email = \"a\"",
            "\"email\"name = \"a\"",
            "'email' = 'a'",
            "email \"a\"",
            "email > \"a\"",
            "email ^ = \"a\"",
            "email == \"a\"",
            "email = a",
            "email = 'a'",
            "email =",
            "email = \"a",
            r#"email = "a\""#,
            r#"email = "a\b""#,
            "email = \"a\" and name = \"b\"",
            "email = \"a\0\"",
            "= \"a\"",
        ];
        for text in unreadable {
            let expected = (Exception::InvalidParameterException, "Error while parsing filter".to_owned());
            assert_eq!(refusal(parse_filter(text)), expected, "{text:?}");
        }
        for name in ["custom:team", "nickname", "Email", "email_verified"] {
            let expected = (Exception::InvalidParameterException, format!("Invalid search attribute: {name}"));
            for text in [format!("{name} = \"a\""), format!("\"{name}\" ^= \"a\"")] {
                assert_eq!(refusal(parse_filter(&text)), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn an_attribute_may_stand_in_quotation_marks() {
        for attribute in SearchAttribute::ALL {
            for text in [format!("\"{}\" = \"a b\"", attribute.name()), format!("\"{}\"=\"a b\"", attribute.name())] {
                assert_eq!(parsed(&text), (attribute, Comparison::Equal, "a b".to_owned()), "{text:?}");
            }
        }
    }

    fn searched(text: &str) -> Search {
        search(parse_filter(text).unwrap().as_ref(), &NameRules { case_sensitive: true, ..NameRules::default() })
    }

    #[test]
    fn a_sub_is_found_by_its_text() {
        let sub = Uuid::from_u128(0x54f3b0fa_1124_4c5b_b52e_bab21ede5976);
        assert_eq!(searched(&format!("sub = \"{sub}\"")), Search::Subs(sub, sub));
        assert_eq!(searched(&format!("sub = \"{}\"", sub.to_string().to_uppercase())), Search::Subs(sub, sub));
        assert_eq!(searched(&format!("sub = \"{}\"", sub.simple())), Search::Nobody);
        assert_eq!(searched("sub = \"jane\""), Search::Nobody);
        assert_eq!(searched("sub = \"\""), Search::Nobody);
        assert_eq!(searched("sub ^= \"\""), Search::Subs(Uuid::nil(), Uuid::max()));
        assert_eq!(searched("sub ^= \"g\""), Search::Nobody);
        assert_eq!(searched("sub ^= \"54f3b0fa1\""), Search::Nobody, "a hyphen belongs there");
        let (first, last) = (
            Uuid::from_u128(0x54f3b0fa_1000_0000_0000_000000000000),
            Uuid::from_u128(0x54f3b0fa_1fff_ffff_ffff_ffffffffffff),
        );
        assert_eq!(searched("sub ^= \"54F3b0fa-1\""), Search::Subs(first, last));
        assert_eq!(searched(&format!("sub ^= \"{sub}0\"")), Search::Nobody, "longer than any");
    }

    #[test]
    fn a_prefix_is_a_range_that_ends_before_the_next_one() {
        let values = |from: &str, to: &str| Search::Values(SearchAttribute::Name, from.to_owned(), to.to_owned());
        assert_eq!(searched("name ^= \"Ja\""), values("ja", "jb"));
        assert_eq!(searched("name ^= \"a\u{D7FF}\""), values("a\u{D7FF}", "a\u{E000}"));
        assert_eq!(searched("name ^= \"a\u{10FFFF}\""), values("a\u{10FFFF}", "b"));
        assert_eq!(searched("username = \"Jane\""), Search::Value(SearchAttribute::Username, "Jane".to_owned()));
    }

    #[test]
    fn only_attributes_that_a_user_has_can_be_requested() {
        let schema = attributes::schema::schema(&[], 50).unwrap();
        check_attributes_to_get(&schema, &texts(&["sub", "email", "email_verified"])).unwrap();
        let missing = "One or more requested attributes do not exist.".to_owned();
        let missing = (Exception::InvalidParameterException, missing);
        assert_eq!(refusal(check_attributes_to_get(&schema, &texts(&["email", "shoe_size"]))), missing);

        let shown = written(&[("sub", "1"), ("email", "j@example.com"), ("name", "Jane")]);
        assert_eq!(attributes_to_get(shown.clone(), &[]).unwrap(), shown);
        let some = attributes_to_get(shown.clone(), &texts(&["email", "sub"])).unwrap();
        assert_eq!(some, written(&[("sub", "1"), ("email", "j@example.com")]));
        assert_eq!(refusal(attributes_to_get(shown, &texts(&["email", "nickname"]))), missing);
    }

    proptest! {
        #[test]
        fn a_written_filter_is_parsed_to_its_parts(value in "[^\0]{0,60}", prefix: bool, spaces in "[ \t\n]{0,3}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            for attribute in SearchAttribute::ALL {
                let operator = if prefix { "^=" } else { "=" };
                let comparison = if prefix { Comparison::Prefix } else { Comparison::Equal };
                for name in [attribute.name().to_owned(), format!("\"{}\"", attribute.name())] {
                    let text = format!("{spaces}{name}{spaces}{operator}{spaces}\"{escaped}\"{spaces}");
                    prop_assert_eq!(parsed(&text), (attribute, comparison, value.clone()));
                }
            }
        }

        #[test]
        fn any_text_is_a_filter_or_a_refusal(text in "\\PC{0,80}|[a-z:_]{0,12} ?[=^]{0,3} ?\"[\\PC\\\\\"]{0,20}\"?") {
            if let Err(error) = parse_filter(&text) {
                prop_assert_eq!(error.exception, Exception::InvalidParameterException);
            }
        }

        #[test]
        fn the_range_of_a_prefix_holds_exactly_the_texts_with_it(prefix in "\\PC{0,4}", text in "\\PC{0,8}", rest in "\\PC{0,4}") {
            let end = after_prefix(&prefix);
            for value in [format!("{prefix}{rest}"), text] {
                prop_assert_eq!(prefix <= value && value < end, value.starts_with(&prefix), "{:?} {:?}", prefix, value);
            }
        }

        #[test]
        fn the_range_of_a_subs_beginning_holds_what_begins_with_it_and_nothing_else(sub: u128, other: u128, length in 0..37_usize) {
            let sub = Uuid::from_u128(sub);
            let text = sub.to_string();
            let (first, last) = subs_from(&text[..length.min(text.len())]).expect("a beginning of a sub");
            for id in [sub, Uuid::from_u128(other)] {
                prop_assert_eq!((first..=last).contains(&id), id.to_string().starts_with(&text[..length.min(text.len())]));
            }
        }
    }
}
