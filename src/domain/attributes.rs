//! The attributes of users: the schema of a pool and what conforms to it.

use std::collections::BTreeMap;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use crate::domain::error::{Error, Exception};
use crate::proto::v1;

/// Attributes by name.
pub type Attributes = BTreeMap<String, String>;

/// Attributes that only the server writes.
const SERVER_WRITTEN: [&str; 2] = ["sub", "identities"];
/// Attributes that say whether another is verified: administrators may write them, users may not.
const VERIFICATION_FLAGS: [&str; 2] = ["email_verified", "phone_number_verified"];

/// A standard attribute: name, type, smallest and largest length.
const STANDARD: [(&str, &str, &str, &str); 21] = [
    ("sub", "String", "1", "2048"),
    ("name", "String", "0", "2048"),
    ("given_name", "String", "0", "2048"),
    ("family_name", "String", "0", "2048"),
    ("middle_name", "String", "0", "2048"),
    ("nickname", "String", "0", "2048"),
    ("preferred_username", "String", "0", "2048"),
    ("profile", "String", "0", "2048"),
    ("picture", "String", "0", "2048"),
    ("website", "String", "0", "2048"),
    ("email", "String", "0", "2048"),
    ("email_verified", "Boolean", "", ""),
    ("gender", "String", "0", "2048"),
    ("birthdate", "String", "10", "10"),
    ("zoneinfo", "String", "0", "2048"),
    ("locale", "String", "0", "2048"),
    ("phone_number", "String", "0", "2048"),
    ("phone_number_verified", "Boolean", "", ""),
    ("address", "String", "0", "2048"),
    ("updated_at", "Number", "0", ""),
    ("identities", "String", "", ""),
];
/// As long as a text can be, and as a bound of its length.
const LONGEST_TEXT: i64 = 2048;

fn standard((name, kind, min, max): (&str, &str, &str, &str)) -> v1::SchemaAttributeType {
    let bound = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    v1::SchemaAttributeType {
        name: Some(name.to_owned()),
        attribute_data_type: Some(kind.to_owned()),
        developer_only_attribute: Some(false),
        mutable: Some(name != "sub"),
        required: Some(name == "sub"),
        string_attribute_constraints: (kind == "String")
            .then(|| v1::StringAttributeConstraintsType { min_length: bound(min), max_length: bound(max) }),
        number_attribute_constraints: (kind == "Number")
            .then(|| v1::NumberAttributeConstraintsType { min_value: bound(min), max_value: bound(max) }),
    }
}

/// A schema as the API shows it. What only the server writes shows no bounds; pools of earlier releases have some.
pub fn shown(schema: &[v1::SchemaAttributeType]) -> Vec<v1::SchemaAttributeType> {
    let mut shown = schema.to_vec();
    for attribute in shown.iter_mut().filter(|attribute| attribute.name() == "identities") {
        attribute.string_attribute_constraints = Some(v1::StringAttributeConstraintsType::default());
    }
    shown
}

/// The whole schema of a pool: the standard attributes, changed as asked for, and the custom ones, so many at most.
pub fn schema(asked: &[v1::SchemaAttributeType], most: u32) -> Result<Vec<v1::SchemaAttributeType>, Error> {
    let mut schema: Vec<_> = STANDARD.into_iter().map(standard).collect();
    let mut seen = std::collections::BTreeSet::new();
    for attribute in asked {
        if !seen.insert(attribute.name()) {
            return Err(invalid_schema(attribute.name(), "is named twice"));
        }
        match schema.iter_mut().find(|known| known.name == attribute.name) {
            Some(known) => merge_standard(known, attribute)?,
            None => schema.push(custom(attribute)?),
        }
    }
    bounded(&schema, most, Exception::LimitExceededException)?;
    Ok(schema)
}

/// The custom attributes by which a schema grows, as they are stored.
pub fn added(
    schema: &[v1::SchemaAttributeType],
    asked: &[v1::SchemaAttributeType],
    most: u32,
) -> Result<Vec<v1::SchemaAttributeType>, Error> {
    let mut grown = schema.to_vec();
    for attribute in asked {
        // With and without the prefix of those that only developers see, a name is one name.
        let names = ["custom:", "dev:custom:"].map(|prefix| format!("{prefix}{}", attribute.name()));
        if let Some(known) = grown.iter().find(|known| names.iter().any(|name| known.name() == name)) {
            let (name, taken) = (&names[0], known.name());
            return Err(Error::invalid_parameter(format!("{name}: Existing attribute already has name {taken}.")));
        }
        grown.push(custom(attribute)?);
    }
    // The operation that adds some lists no exception about limits.
    bounded(&grown, most, Exception::InvalidParameterException)?;
    Ok(grown.split_off(schema.len()))
}

fn bounded(schema: &[v1::SchemaAttributeType], most: u32, exception: Exception) -> Result<(), Error> {
    if schema.len() - STANDARD.len() > most as usize {
        return Err(Error::new(exception, format!("A user pool can have at most {most} custom attributes.")));
    }
    Ok(())
}

fn invalid_schema(name: &str, what: &str) -> Error {
    Error::invalid_parameter(format!("The schema attribute {name} {what}."))
}

fn merge_standard(known: &mut v1::SchemaAttributeType, asked: &v1::SchemaAttributeType) -> Result<(), Error> {
    let name = asked.name().to_owned();
    let other_type = asked.attribute_data_type.is_some() && asked.attribute_data_type != known.attribute_data_type;
    if other_type || asked.developer_only_attribute() {
        return Err(Error::invalid_parameter(format!(
            "You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute {name}"
        )));
    }
    if SERVER_WRITTEN.contains(&name.as_str()) {
        // The schema of another pool, as it was shown, has them as they are.
        let other = |asked: Option<bool>, known: Option<bool>| asked.is_some() && asked != known;
        let changed = other(asked.required, known.required) || other(asked.mutable, known.mutable);
        return if changed { Err(invalid_schema(&name, "can't be changed")) } else { Ok(()) };
    }
    known.required = asked.required.or(known.required);
    known.mutable = asked.mutable.or(known.mutable);
    let kind = known.attribute_data_type().to_owned();
    check_bounds(asked, &kind, &name)?;
    if kind == "String" && asked.string_attribute_constraints.is_some() {
        known.string_attribute_constraints.clone_from(&asked.string_attribute_constraints);
    }
    if kind == "Number" && asked.number_attribute_constraints.is_some() {
        known.number_attribute_constraints.clone_from(&asked.number_attribute_constraints);
    }
    Ok(())
}

fn custom(asked: &v1::SchemaAttributeType) -> Result<v1::SchemaAttributeType, Error> {
    let name = asked.name();
    if name.is_empty() {
        return Err(Error::invalid_parameter("A schema attribute needs a name."));
    }
    if asked.required() {
        return Err(Error::invalid_parameter("Required custom attributes are not supported currently."));
    }
    if name.contains(':') {
        return Err(invalid_schema(name, "must not contain a colon: its prefix is added"));
    }
    let Some(kind) = asked.attribute_data_type.clone() else {
        return Err(Error::invalid_parameter(
            "Invalid AttributeDataType input, consider using the provided AttributeDataType enum.",
        ));
    };
    let developer_only = asked.developer_only_attribute();
    let full_name = if developer_only { format!("dev:custom:{name}") } else { format!("custom:{name}") };
    check_bounds(asked, &kind, &full_name)?;
    Ok(v1::SchemaAttributeType {
        name: Some(full_name),
        developer_only_attribute: Some(developer_only),
        mutable: Some(asked.mutable.unwrap_or(true)),
        required: Some(false),
        string_attribute_constraints: (kind == "String")
            .then(|| asked.string_attribute_constraints.clone().unwrap_or_default()),
        number_attribute_constraints: (kind == "Number")
            .then(|| asked.number_attribute_constraints.clone().unwrap_or_default()),
        attribute_data_type: Some(kind),
    })
}

/// Refuses bounds that no value is within, and those that are no numbers. Bounds of another type than the attribute's mean
/// nothing. Lengths begin at 0; values of numbers may be below it.
fn check_bounds(asked: &v1::SchemaAttributeType, kind: &str, full_name: &str) -> Result<(), Error> {
    match kind {
        "String" => {
            let bounds = asked.string_attribute_constraints.clone().unwrap_or_default();
            let read = |text| bound(text, 0, "StringAttributeConstraints", asked.name());
            let (min, max) = (read(bounds.min_length)?, read(bounds.max_length)?);
            if min.max(max).is_some_and(|length| length > LONGEST_TEXT) {
                return Err(Error::invalid_parameter(format!(
                    "user.{full_name}: String attributes cannot have a length of more than {LONGEST_TEXT}"
                )));
            }
            in_order(min, max, || format!("user.{full_name}: Max length cannot be less than min length."))
        }
        "Number" => {
            let bounds = asked.number_attribute_constraints.clone().unwrap_or_default();
            let read = |text| bound(text, i64::MIN, "NumberAttributeConstraints", asked.name());
            let (min, max) = (read(bounds.min_value)?, read(bounds.max_value)?);
            in_order(min, max, || format!("user.{full_name}: Max value cannot be less than min value."))
        }
        _ => Ok(()),
    }
}

/// A bound, which is a number in text.
fn bound(text: Option<String>, least: i64, constraints: &str, name: &str) -> Result<Option<i64>, Error> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(bound) if bound >= least => Ok(Some(bound)),
        Ok(_) | Err(_) => Err(Error::invalid_parameter(format!("Invalid {constraints} for schema attribute {name}"))),
    }
}

fn in_order(min: Option<i64>, max: Option<i64>, refusal: impl FnOnce() -> String) -> Result<(), Error> {
    if min.zip(max).is_some_and(|(min, max)| min > max) { Err(Error::invalid_parameter(refusal())) } else { Ok(()) }
}

/// What a client may read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permitted<'a> {
    /// Every attribute that clients may.
    All,
    /// These of them.
    Only(&'a [String]),
}

impl Permitted<'_> {
    /// Whether an attribute is among them.
    pub fn includes(self, name: &str) -> bool {
        match self {
            Permitted::All => true,
            Permitted::Only(listed) => listed.iter().any(|listed| listed == name),
        }
    }
}

/// Who writes attributes.
#[derive(Clone, Copy, Debug)]
pub enum Writer<'a> {
    /// A user through a client that may write these attributes.
    Client(Permitted<'a>),
    /// An administrator.
    Administrator,
}

/// Takes attributes as written and answers them by name, if they conform to the schema and the writer may write them.
/// Whether required ones are there is another question: [`require`].
pub fn conform(
    schema: &[v1::SchemaAttributeType],
    written: &[v1::AttributeType],
    writer: Writer<'_>,
) -> Result<Attributes, Error> {
    let mut attributes = Attributes::new();
    for attribute in written {
        let (name, value) = (attribute.name(), attribute.value());
        conform_value(writable(schema, name, writer)?, value)?;
        attributes.insert(name.to_owned(), value.to_owned());
    }
    Ok(attributes)
}

/// What Cognito says of an attribute that is to be changed and that the schema lacks, or nothing of one that it has. What a
/// user is created with is told in other words: [`writable`].
pub fn missing_in_schema(schema: &[v1::SchemaAttributeType], name: &str) -> Option<String> {
    let is_known = schema.iter().any(|known| known.name() == name);
    (!is_known).then(|| format!("user.{name}: Attribute does not exist in the schema."))
}

/// The attribute of a name, if the pool has it and the writer may write it.
pub fn writable<'a>(
    schema: &'a [v1::SchemaAttributeType],
    name: &str,
    writer: Writer<'_>,
) -> Result<&'a v1::SchemaAttributeType, Error> {
    let known = schema.iter().find(|known| known.name() == name);
    let known = known.ok_or_else(|| unconforming(&format!("Type for attribute {{{name}}} could not be determined")))?;
    permit(known, writer)?;
    Ok(known)
}

/// Refuses to change an attribute that has its value for good.
pub fn refuse_immutable(known: &v1::SchemaAttributeType) -> Result<(), Error> {
    if known.mutable.unwrap_or(true) { Ok(()) } else { Err(cannot_be_updated(known.name())) }
}

/// Refuses to take an attribute away that every user must have.
pub fn refuse_required(known: &v1::SchemaAttributeType) -> Result<(), Error> {
    if known.required() { Err(unconforming(&is_required(known.name()))) } else { Ok(()) }
}

/// The refusal to change an attribute.
pub fn cannot_be_updated(name: &str) -> Error {
    Error::invalid_parameter(format!("user.{name}: Attribute cannot be updated."))
}

/// The attribute that a flag says something of, if the name is that of a flag.
pub fn flagged(name: &str) -> Option<&str> {
    if VERIFICATION_FLAGS.contains(&name) { name.strip_suffix("_verified") } else { None }
}

fn is_required(name: &str) -> String {
    format!("{name}: The attribute is required")
}

fn unconforming(what: &str) -> Error {
    Error::invalid_parameter(format!("Attributes did not conform to the schema: {what}"))
}

fn permit(known: &v1::SchemaAttributeType, writer: Writer<'_>) -> Result<(), Error> {
    let name = known.name();
    let unauthorized =
        || Err(Error::new(Exception::NotAuthorizedException, "A client attempted to write unauthorized attribute"));
    match writer {
        Writer::Client(_) if SERVER_WRITTEN.contains(&name) || VERIFICATION_FLAGS.contains(&name) => unauthorized(),
        Writer::Client(_) if known.developer_only_attribute() => unauthorized(),
        Writer::Client(permitted) if !permitted.includes(name) => unauthorized(),
        Writer::Administrator if SERVER_WRITTEN.contains(&name) => Err(cannot_be_updated(name)),
        Writer::Client(_) | Writer::Administrator => Ok(()),
    }
}

fn conform_value(known: &v1::SchemaAttributeType, value: &str) -> Result<(), Error> {
    let name = known.name();
    match name {
        "email" if !value.is_empty() && !is_email(value) => {
            return Err(Error::invalid_parameter("Invalid email address format."));
        }
        "phone_number" if !value.is_empty() && !is_phone_number(value) => {
            return Err(Error::invalid_parameter("Invalid phone number format."));
        }
        _ => {}
    }
    let bound = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
    match known.attribute_data_type() {
        "Number" => {
            let Ok(number) = value.parse::<i64>() else {
                return Err(unconforming(&format!("{name}: The value is not a number")));
            };
            let bounds = known.number_attribute_constraints.as_ref();
            within(
                name,
                "value",
                number,
                bounds.and_then(|it| bound(it.min_value.as_ref())),
                bounds.and_then(|it| bound(it.max_value.as_ref())),
            )
        }
        "Boolean" if !matches!(value, "true" | "false" | "True" | "False") => {
            Err(unconforming(&format!("{name}: The value is neither true nor false")))
        }
        "DateTime" if value.parse::<i64>().is_err() => {
            Err(unconforming(&format!("{name}: The value is not a time in seconds since 1970")))
        }
        "String" => {
            let bounds = known.string_attribute_constraints.as_ref();
            // A text of 2,048 characters at most, so its length fits.
            let length = value.chars().count() as i64;
            within(
                name,
                "length",
                length,
                bounds.and_then(|it| bound(it.min_length.as_ref())),
                bounds.and_then(|it| bound(it.max_length.as_ref())),
            )
        }
        _ => Ok(()),
    }
}

fn within(name: &str, what: &str, number: i64, min: Option<i64>, max: Option<i64>) -> Result<(), Error> {
    if let Some(min) = min.filter(|min| number < *min) {
        return Err(unconforming(&format!("{name}: The {what} must be at least {min}")));
    }
    if let Some(max) = max.filter(|max| number > *max) {
        return Err(unconforming(&format!("{name}: The {what} must be at most {max}")));
    }
    Ok(())
}

/// The required attributes that are not there, or empty.
pub fn missing<'a>(
    schema: &'a [v1::SchemaAttributeType],
    attributes: Option<&'a Attributes>,
) -> impl Iterator<Item = &'a str> {
    let required = schema.iter().filter(|known| known.required() && known.name() != "sub");
    required
        .map(v1::SchemaAttributeType::name)
        .filter(move |name| attributes.and_then(|it| it.get(*name)).is_none_or(String::is_empty))
}

/// Whether every required attribute is there and not empty.
pub fn require(schema: &[v1::SchemaAttributeType], attributes: &Attributes) -> Result<(), Error> {
    let missing: Vec<_> = missing(schema, Some(attributes)).map(is_required).collect();
    if missing.is_empty() { Ok(()) } else { Err(unconforming(&missing.join("; "))) }
}

/// Whether a client may show an attribute to its user.
pub fn readable(schema: &[v1::SchemaAttributeType], permitted: Permitted<'_>, name: &str) -> bool {
    let developer_only = schema.iter().any(|known| known.name() == name && known.developer_only_attribute());
    let implied = flagged(name).is_some_and(|attribute| permitted.includes(attribute));
    name == "sub" || !developer_only && (permitted.includes(name) || implied)
}

/// Whether a text has the form of an e-mail address.
pub fn is_email(text: &str) -> bool {
    mailbox(text).is_some()
}

/// The mailbox that an e-mail address names, in the one form in which addresses are compared and delivered to: the domain as
/// DNS has it (UTS 46, so that case, width, invisible characters and Punycode make no difference), the part before it in NFC.
/// The case of that part stays: whether it matters is each pool's choice. None of a text that is no address.
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
    use crate::domain::testing::{refusal, texts, written};

    fn asked(name: &str) -> v1::SchemaAttributeType {
        v1::SchemaAttributeType { name: Some(name.to_owned()), ..Default::default() }
    }

    fn of_type(name: &str, kind: &str) -> v1::SchemaAttributeType {
        v1::SchemaAttributeType { attribute_data_type: Some(kind.to_owned()), ..asked(name) }
    }

    fn lengths(name: &str, min: &str, max: &str) -> v1::SchemaAttributeType {
        let bounds =
            v1::StringAttributeConstraintsType { min_length: Some(min.to_owned()), max_length: Some(max.to_owned()) };
        v1::SchemaAttributeType { string_attribute_constraints: Some(bounds), ..of_type(name, "String") }
    }

    fn values(name: &str, min: &str, max: &str) -> v1::SchemaAttributeType {
        let bounds =
            v1::NumberAttributeConstraintsType { min_value: Some(min.to_owned()), max_value: Some(max.to_owned()) };
        v1::SchemaAttributeType { number_attribute_constraints: Some(bounds), ..of_type(name, "Number") }
    }

    fn refused_schema(asked: v1::SchemaAttributeType) -> String {
        refusal(schema(&[asked], 50)).1
    }

    #[test]
    fn a_schema_has_the_standard_attributes_changed_as_asked_for_and_the_custom_ones() {
        let developer_only =
            v1::SchemaAttributeType { developer_only_attribute: Some(true), ..of_type("rank", "String") };
        let email =
            v1::SchemaAttributeType { required: Some(true), mutable: Some(false), ..lengths("email", "3", "99") };
        let schema = schema(&[email, values("age", "0", "150"), developer_only], 50).unwrap();
        assert_eq!(schema.len(), STANDARD.len() + 2);
        let find = |name: &str| schema.iter().find(|attribute| attribute.name() == name).unwrap();
        assert!(find("email").required() && !find("email").mutable());
        assert_eq!(find("email").string_attribute_constraints.as_ref().unwrap().max_length(), "99");
        assert!(find("custom:age").mutable() && !find("custom:age").required());
        assert_eq!(find("custom:age").number_attribute_constraints.as_ref().unwrap().max_value(), "150");
        let rank = find("dev:custom:rank");
        assert!(rank.developer_only_attribute());
        assert_eq!(rank.attribute_data_type(), "String");
        assert!(find("sub").required() && !find("sub").mutable());
    }

    #[test]
    fn what_only_the_server_writes_shows_no_bounds() {
        let before = lengths("identities", "0", "2048");
        let none = Some(v1::StringAttributeConstraintsType::default());
        assert_eq!(shown(std::slice::from_ref(&before))[0].string_attribute_constraints, none);
        let schema = schema(&[], 50).unwrap();
        assert_eq!(shown(&schema), schema);
        let email = schema.iter().find(|attribute| attribute.name() == "email").unwrap();
        assert_eq!(email.string_attribute_constraints.as_ref().unwrap().max_length(), "2048");
    }

    #[test]
    fn a_schema_that_can_not_be_is_refused() {
        assert!(refusal(schema(&[of_type("a", "String"), of_type("a", "String")], 50)).1.contains("named twice"));
        let optional = v1::SchemaAttributeType { required: Some(false), ..asked("sub") };
        let mutable = v1::SchemaAttributeType { mutable: Some(true), ..asked("sub") };
        let fixed = v1::SchemaAttributeType { mutable: Some(false), ..asked("identities") };
        for changed in [optional, mutable, fixed] {
            assert!(refused_schema(changed).contains("can't be changed"));
        }
        let standard = schema(&[], 50).unwrap();
        assert_eq!(schema(&standard, 50).unwrap(), standard, "what is shown of a pool can be asked for");
        let required = v1::SchemaAttributeType { required: Some(true), ..of_type("shoe", "String") };
        assert_eq!(refused_schema(required), "Required custom attributes are not supported currently.");
        assert!(refused_schema(of_type("custom:shoe", "String")).contains("colon"));
        assert!(refused_schema(asked("")).contains("needs a name"));
        let untyped = "Invalid AttributeDataType input, consider using the provided AttributeDataType enum.";
        assert_eq!(refused_schema(asked("shoe")), untyped);
        let many = |count: usize| (0..count).map(|index| of_type(&format!("a{index}"), "String")).collect::<Vec<_>>();
        assert!(schema(&many(7), 7).is_ok());
        let message = "A user pool can have at most 7 custom attributes.".to_owned();
        assert_eq!(refusal(schema(&many(8), 7)), (Exception::LimitExceededException, message));
    }

    #[test]
    fn a_standard_attribute_keeps_its_type_and_is_for_everybody() {
        let developer_only = v1::SchemaAttributeType { developer_only_attribute: Some(true), ..asked("email") };
        for other in [of_type("email", "Number"), developer_only] {
            let message = "You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute email";
            assert_eq!(refused_schema(other), message);
        }
    }

    #[test]
    fn bounds_are_numbers_in_their_order_and_lengths_end_at_2048() {
        let unreadable = |kind: &str, name: &str| format!("Invalid {kind} for schema attribute {name}");
        for (min, max) in [("few", "9"), ("1", "many"), ("-1", "9"), ("", "9"), ("1.5", "9")] {
            assert_eq!(refused_schema(lengths("email", min, max)), unreadable("StringAttributeConstraints", "email"));
        }
        for (min, max) in [("few", "9"), ("1", "many"), ("1.5", "9")] {
            let expected = unreadable("NumberAttributeConstraints", "updated_at");
            assert_eq!(refused_schema(values("updated_at", min, max)), expected);
            assert_eq!(refused_schema(values("size", min, max)), unreadable("NumberAttributeConstraints", "size"));
        }
        for (min, max) in [("2049", "2050"), ("0", "2049")] {
            let message = "user.email: String attributes cannot have a length of more than 2048";
            assert_eq!(refused_schema(lengths("email", min, max)), message);
        }
        let message = "user.custom:shoe: Max length cannot be less than min length.";
        assert_eq!(refused_schema(lengths("shoe", "5", "4")), message);
        assert_eq!(refused_schema(lengths("email", "5", "4")), message.replace("custom:shoe", "email"));
        let message = "user.updated_at: Max value cannot be less than min value.";
        assert_eq!(refused_schema(values("updated_at", "5", "4")), message);
        for good in [lengths("email", "2048", "2048"), lengths("shoe", "0", "0"), values("size", "-5", "-4")] {
            assert!(schema(&[good], 50).is_ok());
        }
        // Bounds of another type than the attribute's say nothing.
        let text = v1::SchemaAttributeType {
            number_attribute_constraints: values("x", "2", "1").number_attribute_constraints,
            ..of_type("email", "String")
        };
        let schema = schema(&[text], 50).unwrap();
        let email = schema.iter().find(|attribute| attribute.name() == "email").unwrap();
        assert_eq!(email.number_attribute_constraints, None);
    }

    fn shop() -> Vec<v1::SchemaAttributeType> {
        let developer_only =
            v1::SchemaAttributeType { developer_only_attribute: Some(true), ..of_type("rank", "String") };
        schema(
            &[
                lengths("code", "2", "3"),
                values("age", "18", "99"),
                of_type("member", "Boolean"),
                of_type("since", "DateTime"),
                developer_only,
            ],
            50,
        )
        .unwrap()
    }

    fn conforms(name: &str, value: &str) -> Result<Attributes, Error> {
        conform(&shop(), &written(&[(name, value)]), Writer::Client(Permitted::All))
    }

    #[test]
    fn values_conform_to_their_type_and_bounds() {
        for (name, value) in [
            ("custom:code", "äß"),
            ("custom:code", "abc"),
            ("custom:age", "18"),
            ("custom:age", "99"),
            ("custom:member", "True"),
            ("custom:since", "1700000000"),
            ("birthdate", "2000-01-31"),
            ("email", ""),
            ("updated_at", "0"),
        ] {
            let attributes = conforms(name, value).unwrap_or_else(|error| panic!("{name} {value}: {error}"));
            assert_eq!(attributes, [(name.to_owned(), value.to_owned())].into());
        }
        for (name, value, what) in [
            ("custom:code", "a", "The length must be at least 2"),
            ("custom:code", "abcd", "The length must be at most 3"),
            ("custom:age", "17", "The value must be at least 18"),
            ("custom:age", "100", "The value must be at most 99"),
            ("custom:age", "old", "not a number"),
            ("custom:member", "yes", "neither true nor false"),
            ("custom:since", "today", "not a time"),
            ("birthdate", "2000", "The length must be at least 10"),
            ("email", "jane", "Invalid email address format."),
            ("phone_number", "12025550123", "Invalid phone number format."),
            ("updated_at", "-1", "The value must be at least 0"),
            ("custom:shoe", "44", "Type for attribute {custom:shoe} could not be determined"),
            ("rank", "1", "could not be determined"),
        ] {
            let (exception, message) = refusal(conforms(name, value));
            assert_eq!(exception, Exception::InvalidParameterException);
            assert!(message.contains(what), "{name} {value}: {message}");
        }
    }

    #[test]
    fn who_writes_decides_what_may_be_written() {
        let attempt = |name: &str, value: &str, writer| {
            conform(&shop(), &written(&[(name, value)]), writer).map(drop).map_err(|error| error.exception)
        };
        let unauthorized = Err(Exception::NotAuthorizedException);
        let anything = Writer::Client(Permitted::All);
        for (name, value) in
            [("sub", "x"), ("identities", "x"), ("email_verified", "true"), ("phone_number_verified", "true")]
        {
            assert_eq!(attempt(name, value, anything), unauthorized, "{name}");
        }
        assert_eq!(attempt("dev:custom:rank", "1", anything), unauthorized);
        let only = texts(&["email"]);
        assert_eq!(attempt("email", "a@b.example", Writer::Client(Permitted::Only(&only))), Ok(()));
        assert_eq!(attempt("name", "A", Writer::Client(Permitted::Only(&only))), unauthorized);
        assert_eq!(attempt("email", "a@b.example", Writer::Client(Permitted::Only(&[]))), unauthorized);
        assert_eq!(attempt("email_verified", "true", Writer::Administrator), Ok(()));
        assert_eq!(attempt("dev:custom:rank", "1", Writer::Administrator), Ok(()));
        assert_eq!(attempt("sub", "x", Writer::Administrator), Err(Exception::InvalidParameterException));
    }

    #[test]
    fn every_missing_attribute_is_named() {
        let required = |name: &str| v1::SchemaAttributeType { required: Some(true), ..asked(name) };
        let schema = schema(&[required("name"), required("email")], 50).unwrap();
        let attributes = |pairs: &[(&str, &str)]| -> Attributes {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(require(&schema, &attributes(&[("name", "J"), ("email", "j@example.com")])).is_ok());
        let message = refusal(require(&schema, &attributes(&[("email", "")]))).1;
        assert!(message.contains("name: The attribute is required; email: The attribute is required"), "{message}");
    }

    #[test]
    fn a_client_reads_what_it_lists_and_what_is_implied() {
        let all = |name: &str| readable(&shop(), Permitted::All, name);
        assert!(all("email") && all("custom:age") && !all("dev:custom:rank"));
        let listed = texts(&["email", "dev:custom:rank"]);
        let listed = |name: &str| readable(&shop(), Permitted::Only(&listed), name);
        assert!(listed("email") && listed("email_verified") && listed("sub"));
        assert!(!listed("phone_number_verified") && !listed("name"));
        assert!(!listed("dev:custom:rank"), "developer-only for every client");
        let nothing = |name: &str| readable(&shop(), Permitted::Only(&[]), name);
        assert!(nothing("sub") && !nothing("email") && !nothing("email_verified"));
    }

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
        // What is mapped away or onto a delimiter leaves no domain, and what is no name of DNS can't be delivered to.
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
            // What begins so has to be Punycode.
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
