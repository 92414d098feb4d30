//! The names of events: `<aggregate>.<oneof field>`, how each is written and read as JSON, and which level it needs.

use std::fmt::Write;

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

use crate::levels::{self, Later, Step};
use crate::{Failure, names};

/// For each oneof of events: `event_type`, `to_json`, `from_json`; and the list of types, with the fields that are never
/// published and with levels.
pub fn generate(pool: &DescriptorPool) -> Result<String, Failure> {
    let mut code = String::new();
    let mut types = String::new();
    let (mut count, mut newest) = (0, levels::FIRST);
    let mut enumerations = String::new();
    for file in pool.files().filter(|file| file.package_name() == "userpool.events.v1") {
        for message in file.messages() {
            for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
                let prefix = prefix(&message);
                let path = format!(
                    "crate::proto::userpool::events::v1::{}::{}",
                    names::snake(message.name()),
                    names::pascal(oneof.name())
                );
                let (mut to_type, mut to_json, mut from_json) = (String::new(), String::new(), String::new());
                for field in oneof.fields() {
                    let variant = names::pascal(field.name());
                    let name = format!("{prefix}.{}", field.name());
                    let Kind::Message(payload) = field.kind() else {
                        return Err(format!("{name} is not a message").into());
                    };
                    let _ = writeln!(to_type, "            Self::{variant}(_) => &crate::proto::EVENT_TYPES[{count}],");
                    count += 1;
                    let _ = writeln!(to_json, "            Self::{variant}(event) => serde_json::to_value(event),");
                    let _ = writeln!(
                        from_json,
                        "            {name:?} => Self::{variant}(serde_json::from_value(payload)?),"
                    );
                    let (since, later) = (levels::of_field(&field)?, levels::later(&payload)?);
                    newest = later.iter().map(|later| later.since).chain([since]).fold(newest, i32::max);
                    types.push_str(&event_type(&name, &payload, since, &later));
                }
                let _ = writeln!(
                    code,
                    "impl crate::proto::EventPayload for {path} {{\n    fn event_type(&self) -> &'static crate::proto::EventType {{\n        match self {{\n{to_type}        }}\n    }}\n    fn to_json(&self) -> serde_json::Result<serde_json::Value> {{\n        match self {{\n{to_json}        }}\n    }}\n    fn from_json(type_name: &str, payload: serde_json::Value) -> Result<Self, crate::proto::UnreadableEvent> {{\n        Ok(match type_name {{\n{from_json}            _ => return Err(crate::proto::UnreadableEvent::UnknownType(type_name.to_owned())),\n        }})\n    }}\n}}"
                );
            }
        }
        for kind in file.enums() {
            let path = format!("crate::proto::userpool::events::v1::{}", names::pascal(kind.name()));
            let _ = writeln!(
                enumerations,
                "    pub mod {} {{ crate::proto::enumeration_as_name!({path}); }}",
                names::snake(kind.name())
            );
        }
    }
    let _ =
        writeln!(code, "/// Every type of event and activity.\npub static EVENT_TYPES: &[EventType] = &[\n{types}];");
    let _ = writeln!(
        code,
        "/// The newest level of events: a database whose level is lower belongs to an upgrade that is not finished.\npub const NEWEST_LEVEL: i32 = {newest};"
    );
    let _ = writeln!(code, "/// Enumerations of events, written by name.\npub mod enumerations {{\n{enumerations}}}");
    Ok(code)
}

/// The line of a type in the list of types.
fn event_type(name: &str, payload: &MessageDescriptor, since: i32, later: &[Later]) -> String {
    let private = private_fields(payload);
    let public = public_fields(payload, &private);
    let personal = payload.get_field_by_name("personal").is_some();
    let later: String = later.iter().map(written).collect();
    format!(
        "    EventType {{ name: {name:?}, public: &{public:?}, private: &{private:?}, personal: {personal}, since: {since}, later: &[{later}] }},\n"
    )
}

/// The code of something that has a later level.
fn written(later: &Later) -> String {
    let steps = later.way.iter().map(|step| match step {
        Step::Field(name) => format!("Step::Field({name:?}), "),
        Step::Each => "Step::Each, ".to_owned(),
    });
    let (way, value, since) = (steps.collect::<String>(), &later.value, later.since);
    format!("Later {{ way: &[{way}], value: {value:?}, since: {since} }}, ")
}

/// `UserEvent` → `user`, `ServiceAccountActivity` → `service_account`.
fn prefix(message: &MessageDescriptor) -> String {
    let name = message.name();
    let stem = name.strip_suffix("Event").or_else(|| name.strip_suffix("Activity")).unwrap_or(name);
    names::snake(stem)
}

fn private_fields(message: &MessageDescriptor) -> Vec<String> {
    message
        .fields()
        .filter(|field| names::flag(field, "secret") || field.name() == "personal")
        .map(|field| field.name().to_owned())
        .collect()
}

fn public_fields(message: &MessageDescriptor, private: &[String]) -> Vec<String> {
    message.fields().map(|field| field.name().to_owned()).filter(|name| !private.contains(name)).collect()
}
