//! The schema of a pool: the standard attributes, and the custom ones that the pool adds.

use crate::domain::attributes::SERVER_WRITTEN;
use crate::domain::error::{Error, Exception};
use crate::proto::v1;

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
/// The most characters of a text attribute, and the largest bound that a length can have.
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

/// A schema as the API shows it. Attributes that only the server writes show no bounds; pools of earlier releases store
/// some.
pub fn shown(schema: &[v1::SchemaAttributeType]) -> Vec<v1::SchemaAttributeType> {
    let mut shown = schema.to_vec();
    for attribute in shown.iter_mut().filter(|attribute| attribute.name() == "identities") {
        attribute.string_attribute_constraints = Some(v1::StringAttributeConstraintsType::default());
    }
    shown
}

/// The whole schema of a pool: the standard attributes with the requested changes, and at most `most` custom ones.
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

/// The custom attributes that are added to a schema, as they are stored.
pub fn added(
    schema: &[v1::SchemaAttributeType],
    asked: &[v1::SchemaAttributeType],
    most: u32,
) -> Result<Vec<v1::SchemaAttributeType>, Error> {
    let mut grown = schema.to_vec();
    for attribute in asked {
        // A name is unique with and without the prefix `dev:`.
        let names = ["custom:", "dev:custom:"].map(|prefix| format!("{prefix}{}", attribute.name()));
        if let Some(known) = grown.iter().find(|known| names.iter().any(|name| known.name() == name)) {
            let (name, taken) = (&names[0], known.name());
            return Err(Error::invalid_parameter(format!("{name}: Existing attribute already has name {taken}.")));
        }
        grown.push(custom(attribute)?);
    }
    // AddCustomAttributes declares no exception about limits.
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
        // A request may repeat the standard attributes as another pool shows them.
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

/// Refuses bounds that are no numbers and bounds that no value satisfies. Bounds of another type than the attribute's
/// are ignored. Lengths are at least 0; numbers may be negative.
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

/// Parses a bound, which the API writes as text.
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::testing::refusal;

    pub(in crate::domain::attributes) fn asked(name: &str) -> v1::SchemaAttributeType {
        v1::SchemaAttributeType { name: Some(name.to_owned()), ..Default::default() }
    }

    pub(in crate::domain::attributes) fn of_type(name: &str, kind: &str) -> v1::SchemaAttributeType {
        v1::SchemaAttributeType { attribute_data_type: Some(kind.to_owned()), ..asked(name) }
    }

    pub(in crate::domain::attributes) fn lengths(name: &str, min: &str, max: &str) -> v1::SchemaAttributeType {
        let bounds =
            v1::StringAttributeConstraintsType { min_length: Some(min.to_owned()), max_length: Some(max.to_owned()) };
        v1::SchemaAttributeType { string_attribute_constraints: Some(bounds), ..of_type(name, "String") }
    }

    pub(in crate::domain::attributes) fn values(name: &str, min: &str, max: &str) -> v1::SchemaAttributeType {
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
    fn attributes_that_only_the_server_writes_show_no_bounds() {
        let before = lengths("identities", "0", "2048");
        let none = Some(v1::StringAttributeConstraintsType::default());
        assert_eq!(shown(std::slice::from_ref(&before))[0].string_attribute_constraints, none);
        let schema = schema(&[], 50).unwrap();
        assert_eq!(shown(&schema), schema);
        let email = schema.iter().find(|attribute| attribute.name() == "email").unwrap();
        assert_eq!(email.string_attribute_constraints.as_ref().unwrap().max_length(), "2048");
    }

    #[test]
    fn an_impossible_schema_is_refused() {
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
    fn a_standard_attribute_keeps_its_type_and_is_not_developer_only() {
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
        // Bounds of another type than the attribute's are ignored.
        let text = v1::SchemaAttributeType {
            number_attribute_constraints: values("x", "2", "1").number_attribute_constraints,
            ..of_type("email", "String")
        };
        let schema = schema(&[text], 50).unwrap();
        let email = schema.iter().find(|attribute| attribute.name() == "email").unwrap();
        assert_eq!(email.number_attribute_constraints, None);
    }
}
