//! The attributes of users: which values conform to a pool's schema, who may write them and who may read them.

pub mod schema;

use std::collections::BTreeMap;

use crate::domain::addresses::{is_email, is_phone_number};
use crate::domain::error::{Error, Exception};
use crate::proto::v1;

/// Values by the full name of their attribute, such as `custom:age`.
pub type Attributes = BTreeMap<String, String>;

/// Attributes that only the server writes.
const SERVER_WRITTEN: [&str; 2] = ["sub", "identities"];
/// Attributes that say whether another attribute is verified. Administrators may write them, users may not.
const VERIFICATION_FLAGS: [&str; 2] = ["email_verified", "phone_number_verified"];

/// The attributes that a client may read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permitted<'a> {
    /// Every attribute that a client can be allowed to read or write.
    All,
    /// The attributes with these names.
    Only(&'a [String]),
}

impl Permitted<'_> {
    /// Whether an attribute is permitted.
    pub fn includes(self, name: &str) -> bool {
        match self {
            Permitted::All => true,
            Permitted::Only(listed) => listed.iter().any(|listed| listed == name),
        }
    }
}

/// The writer of attributes: it decides which ones may be written.
#[derive(Clone, Copy, Debug)]
pub enum Writer<'a> {
    /// A user through a client that may write these attributes.
    Client(Permitted<'a>),
    /// An administrator, who may write all attributes except those that only the server writes.
    Administrator,
}

/// Checks written attributes against the schema and the writer's rights, and returns them by name. [`require`] checks
/// whether required attributes are missing.
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

/// Cognito's message about an attribute that is to be changed but is not in the schema; `None` if the schema has it. At
/// a user's creation the message is another: see [`writable`].
pub fn missing_in_schema(schema: &[v1::SchemaAttributeType], name: &str) -> Option<String> {
    let is_known = schema.iter().any(|known| known.name() == name);
    (!is_known).then(|| format!("user.{name}: Attribute does not exist in the schema."))
}

/// The schema's attribute of this name, if the writer may write it.
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

/// Refuses to change an attribute whose value is immutable.
pub fn refuse_immutable(known: &v1::SchemaAttributeType) -> Result<(), Error> {
    if known.mutable.unwrap_or(true) { Ok(()) } else { Err(cannot_be_updated(known.name())) }
}

/// Refuses to remove an attribute that every user must have.
pub fn refuse_required(known: &v1::SchemaAttributeType) -> Result<(), Error> {
    if known.required() { Err(unconforming(&is_required(known.name()))) } else { Ok(()) }
}

/// The refusal to change an attribute.
pub fn cannot_be_updated(name: &str) -> Error {
    Error::invalid_parameter(format!("user.{name}: Attribute cannot be updated."))
}

/// The attribute that a verification flag describes, if the name is that of a flag.
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

/// The required attributes that are absent or empty.
pub fn missing<'a>(
    schema: &'a [v1::SchemaAttributeType],
    attributes: Option<&'a Attributes>,
) -> impl Iterator<Item = &'a str> {
    let required = schema.iter().filter(|known| known.required() && known.name() != "sub");
    required
        .map(v1::SchemaAttributeType::name)
        .filter(move |name| attributes.and_then(|it| it.get(*name)).is_none_or(String::is_empty))
}

/// Refuses attributes of which a required one is absent or empty.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attributes::schema::schema;
    use crate::domain::attributes::schema::tests::{asked, lengths, of_type, values};
    use crate::domain::testing::{refusal, texts, written};

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
    fn the_writer_decides_which_attributes_may_be_written() {
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
    fn a_client_reads_the_attributes_that_it_lists_and_the_implied_ones() {
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
}
