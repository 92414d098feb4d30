//! Since which level events have a type, a field or a value of an enumeration. The build and the tests share this file.

use prost_reflect::{DescriptorPool, DynamicMessage, EnumValueDescriptor, FieldDescriptor, Kind, MessageDescriptor};

type Failure = Box<dyn std::error::Error>;

/// The level of everything that doesn't declare one: of all events before there were levels.
pub const FIRST: i32 = 1;

/// A step from an event's payload, as JSON, to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the member of this name.
    Field(String),
    /// To each element of a list, or to each value of a map.
    Each,
}

/// Something in an event's payload that only servers of a later level can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// The way to it.
    pub way: Vec<Step>,
    /// The name of the enumeration's value, if it is one; otherwise the field counts, whatever its value.
    pub value: Option<String>,
    /// Its level.
    pub since: i32,
}

/// The level of a field: of an event's type, if it is the field of a oneof of events.
pub fn of_field(field: &FieldDescriptor) -> Result<i32, Failure> {
    declared(field.parent_pool(), &field.options(), "since", field.full_name())
}

/// The level of a value of an enumeration.
pub fn of_value(value: &EnumValueDescriptor) -> Result<i32, Failure> {
    declared(value.parent_pool(), &value.options(), "value_since", value.full_name())
}

fn declared(pool: &DescriptorPool, options: &DynamicMessage, option: &str, name: &str) -> Result<i32, Failure> {
    let Some(extension) = pool.get_extension_by_name(&format!("userpool.v1.{option}")) else { return Ok(FIRST) };
    if !options.has_extension(&extension) {
        return Ok(FIRST);
    }
    let level = options.get_extension(&extension).as_u32().and_then(|level| i32::try_from(level).ok());
    let level = level.filter(|level| *level > FIRST);
    level.ok_or_else(|| format!("{name}: `{option}` is a number above {FIRST}; without it the level is {FIRST}").into())
}

/// Everything in the payload of an event that has a later level than the first, however deep.
pub fn later(payload: &MessageDescriptor) -> Result<Vec<Later>, Failure> {
    let mut found = Vec::new();
    walk(payload, &mut Vec::new(), &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn walk(
    message: &MessageDescriptor,
    way: &mut Vec<Step>,
    within: &mut Vec<String>,
    found: &mut Vec<Later>,
) -> Result<(), Failure> {
    if within.iter().any(|outer| outer == message.full_name()) {
        return Err(format!("{} contains itself: its levels can't be written out", message.full_name()).into());
    }
    within.push(message.full_name().to_owned());
    for field in message.fields() {
        let before = way.len();
        way.push(Step::Field(field.name().to_owned()));
        let since = of_field(&field)?;
        if since > FIRST {
            found.push(Later { way: way.clone(), value: None, since });
        }
        if field.is_list() || field.is_map() {
            way.push(Step::Each);
        }
        match value_kind(&field) {
            Kind::Message(inner) => walk(&inner, way, within, found)?,
            Kind::Enum(kind) => {
                for value in kind.values() {
                    let since = of_value(&value)?;
                    if since > FIRST {
                        found.push(Later { way: way.clone(), value: Some(value.name().to_owned()), since });
                    }
                }
            }
            _ => {}
        }
        way.truncate(before);
    }
    within.pop();
    Ok(())
}

/// The kind of a field's values; of a map, of what its keys name.
pub fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}
