//! The generated messages of the API and of the events, and how events are written as JSON.

#![allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    reason = "generated from the protos, which carry the documentation"
)]

pub mod document;
pub mod json;
pub mod level;
pub mod presence;

include!(concat!(env!("OUT_DIR"), "/proto.rs"));
include!(concat!(env!("OUT_DIR"), "/debug.rs"));
include!(concat!(env!("OUT_DIR"), "/events.rs"));

pub use self::userpool::events::v1 as events;
pub use self::userpool::v1;
pub(crate) use json::enumeration_as_name;
pub use level::{Later, Step};

/// The descriptors of everything, with our options and comments, as an encoded `FileDescriptorSet`.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The same descriptors, decoded once.
pub fn descriptor_pool() -> &'static prost_reflect::DescriptorPool {
    #[expect(clippy::expect_used, reason = "the bytes are written by build.rs, which decodes them too")]
    static POOL: std::sync::LazyLock<prost_reflect::DescriptorPool> = std::sync::LazyLock::new(|| {
        prost_reflect::DescriptorPool::decode(DESCRIPTORS).expect("descriptors that build.rs has read")
    });
    &POOL
}

/// A oneof of events: how its members are named, written and read.
pub trait EventPayload: Sized {
    /// What this release knows about the event's type.
    fn event_type(&self) -> &'static EventType;
    /// The dotted past-tense type, such as `user.signed_up`.
    fn type_name(&self) -> &'static str {
        self.event_type().name
    }
    /// The event's message as JSON by field name.
    fn to_json(&self) -> serde_json::Result<serde_json::Value>;
    /// Reads what `to_json` wrote.
    fn from_json(type_name: &str, payload: serde_json::Value) -> Result<Self, UnreadableEvent>;
}

/// An event of the log that this release can't read. A command that needs its stream fails; no event is skipped.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum UnreadableEvent {
    /// The event was written by a later release.
    #[error("unknown event type {0}")]
    UnknownType(String),
    /// The type is known, but only a later release can read this version of its schema.
    #[error("an event {kind} of schema version {version}")]
    LaterVersion { kind: String, version: i32 },
    /// The payload does not have the fields of its type.
    #[error("a payload that does not fit its type: {0}")]
    Payload(#[from] serde_json::Error),
}

/// What this release knows about a type of events.
pub struct EventType {
    /// The type with its prefix, such as `user.signed_up`.
    pub name: &'static str,
    /// Fields that may be published. A field in neither list is of a later release.
    pub public: &'static [&'static str],
    /// Fields that are never published: sealed secrets and personal data.
    pub private: &'static [&'static str],
    /// Whether the event carries personal data.
    pub personal: bool,
    /// The level of the type. Servers of a lower one don't know it.
    pub since: i32,
    /// What a payload may contain that has a later level than the first.
    pub later: &'static [Later],
}

impl EventType {
    /// The type with this name, if this release knows it.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        EVENT_TYPES.iter().find(|known| known.name == name)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, Value};

    use super::*;

    const SHOWN: &str = "must-not-show";

    /// A value of this kind that contains the marker text; `None` if it has no place for a text.
    fn of_kind(kind: &Kind) -> Option<Value> {
        match kind {
            Kind::String => Some(Value::String(SHOWN.to_owned())),
            Kind::Bytes => Some(Value::Bytes(SHOWN.as_bytes().to_vec().into())),
            Kind::Message(message) => {
                let (field, value) = message.fields().find_map(|field| Some((field.clone(), filled(&field)?)))?;
                let mut inner = DynamicMessage::new(message.clone());
                inner.set_field(&field, value);
                Some(Value::Message(inner))
            }
            _ => None,
        }
    }

    fn filled(field: &FieldDescriptor) -> Option<Value> {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let value = of_kind(&entry.map_entry_value_field().kind())?;
                Some(Value::Map([(MapKey::String(SHOWN.to_owned()), value)].into()))
            }
            kind if field.is_list() => Some(Value::List(vec![of_kind(&kind)?])),
            kind => of_kind(&kind),
        }
    }

    #[test]
    fn no_sensitive_field_of_any_message_shows_in_debug_output() {
        let sensitive = descriptor_pool().get_extension_by_name("userpool.v1.sensitive").unwrap();
        let (mut hidden, mut shown) = (0, 0);
        let ours = descriptor_pool().all_messages().filter(|message| message.package_name().starts_with("userpool."));
        for message in ours.filter(|message| !message.is_map_entry()) {
            for field in message.fields() {
                let Some(value) = filled(&field) else { continue };
                let mut filled = DynamicMessage::new(message.clone());
                filled.set_field(&field, value);
                let text = debug_of(message.full_name(), &filled.encode_to_vec()).unwrap();
                let marked = field.options().get_extension(&sensitive).as_bool().unwrap_or(false);
                if marked || field.kind() == Kind::Bytes {
                    assert!(!text.contains(SHOWN), "{} shows: {text}", field.full_name());
                    hidden += 1;
                } else if text.contains(SHOWN) {
                    shown += 1;
                }
            }
        }
        assert!(hidden > 100, "only {hidden} sensitive fields");
        assert!(shown > 100, "only {shown} plain fields, which do show");
    }

    /// Messages whose fields look sensitive by name, but hold units of time or outcomes.
    const PLAIN: [&str; 2] = ["TokenValidityUnitsType", "AuthEventType"];

    #[test]
    fn fields_with_secret_or_personal_names_are_marked() {
        let sensitive = descriptor_pool().get_extension_by_name("userpool.v1.sensitive").unwrap();
        let names = [
            "password",
            "previous_password",
            "proposed_password",
            "temporary_password",
            "access_token",
            "refresh_token",
            "id_token",
            "token",
            "confirmation_code",
            "user_code",
            "code",
            "secret_code",
            "client_secret",
            "secret_hash",
            "session",
            "username",
            "auth_parameters",
            "challenge_responses",
            "provider_details",
            "value",
        ];
        let ours = descriptor_pool().all_messages().filter(|message| message.package_name() == "userpool.v1");
        let fields = ours.filter(|message| !message.is_map_entry() && !PLAIN.contains(&message.name()));
        let unmarked: Vec<_> = fields
            .flat_map(|message| message.fields().collect::<Vec<_>>())
            .filter(|field| names.contains(&field.name()))
            .filter(|field| !field.options().get_extension(&sensitive).as_bool().unwrap_or(false))
            .map(|field| field.full_name().to_owned())
            .collect();
        assert_eq!(unmarked, Vec::<String>::new());
    }
}
