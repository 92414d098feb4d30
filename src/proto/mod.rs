//! The generated messages of the API and of the events, and how events are written as JSON.

#![allow(missing_docs, clippy::all, reason = "generated from the protos, which carry the documentation")]

pub mod json;

include!(concat!(env!("OUT_DIR"), "/proto.rs"));
include!(concat!(env!("OUT_DIR"), "/debug.rs"));
include!(concat!(env!("OUT_DIR"), "/events.rs"));

pub(crate) use json::enumeration_as_name;
pub use userpool::events::v1 as events;
pub use userpool::v1;

/// The descriptors of everything, with our options and comments, as an encoded `FileDescriptorSet`.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The same descriptors, decoded once.
pub fn descriptor_pool() -> &'static prost_reflect::DescriptorPool {
    static POOL: std::sync::LazyLock<prost_reflect::DescriptorPool> = std::sync::LazyLock::new(|| {
        // The bytes are written by build.rs, which decodes them too.
        prost_reflect::DescriptorPool::decode(DESCRIPTORS).expect("descriptors that build.rs has read")
    });
    &POOL
}

/// A oneof of events: how its members are named, written and read.
pub trait EventPayload: Sized {
    /// The dotted past-tense type, such as `user.signed_up`.
    fn type_name(&self) -> &'static str;
    /// The event's message as JSON by field name.
    fn to_json(&self) -> serde_json::Result<serde_json::Value>;
    /// Reads what `to_json` wrote.
    fn from_json(type_name: &str, payload: serde_json::Value) -> Result<Self, UnreadableEvent>;
}

/// An event of the log that this release can't read. The command that needs its stream fails; nothing is skipped.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableEvent {
    /// Written by a later release.
    #[error("unknown event type {0}")]
    UnknownType(String),
    /// A known type in a form that only a later release reads.
    #[error("an event {kind} of schema version {version}")]
    LaterVersion {
        /// The type.
        kind: String,
        /// The version of its schema.
        version: i32,
    },
    /// Not the fields that the type has.
    #[error("a payload that does not fit its type: {0}")]
    Payload(#[from] serde_json::Error),
}

/// What is known of an event's type.
pub struct EventType {
    /// The dotted name.
    pub name: &'static str,
    /// Fields that may be published. What is in neither list is of a later release.
    pub public: &'static [&'static str],
    /// Fields that are never published: sealed secrets and personal data.
    pub private: &'static [&'static str],
    /// Whether the event carries personal data.
    pub personal: bool,
}

impl EventType {
    /// The type of that name, if this release knows it.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        EVENT_TYPES.iter().find(|known| known.name == name)
    }
}
