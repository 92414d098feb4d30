//! Events as logs hold them for ever: a fixture of every type and version is read, and written back unchanged.
//!
//! `UPDATE_FIXTURES=1` writes missing fixtures and changes no existing one, because some log holds what was once
//! written. The states after them are fixtures too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use userpool::domain::app_client::AppClient;
use userpool::domain::decision::{Aggregate, replay};
use userpool::domain::device::Device;
use userpool::domain::group::Group;
use userpool::domain::ids::StreamId;
use userpool::domain::time::Timestamp;
use userpool::domain::user::User;
use userpool::domain::user_pool::UserPool;
use userpool::proto::events::{
    AppClientEvent, DeveloperActivity, DeviceEvent, GroupEvent, ServiceAccountActivity, UserActivity, UserEvent,
    UserPoolEvent, app_client_event, developer_activity, device_event, group_event, service_account_activity,
    user_activity, user_event, user_pool_event,
};
use userpool::proto::{EVENT_TYPES, EventPayload, EventType, descriptor_pool};

/// Calls the generated code of the aggregate with which a type's name begins, to read and write its payloads.
macro_rules! of_aggregate {
    ($kind:expr, $then:ident) => {
        match $kind.rsplit_once('.') {
            Some(("user_pool", _)) => $then!(user_pool_event::Event, UserPoolEvent, event),
            Some(("app_client", _)) => $then!(app_client_event::Event, AppClientEvent, event),
            Some(("device", _)) => $then!(device_event::Event, DeviceEvent, event),
            Some(("group", _)) => $then!(group_event::Event, GroupEvent, event),
            // Types of facts about a user look like those of the user's events.
            Some(("user", field)) if is_field_of("UserEvent", field) => $then!(user_event::Event, UserEvent, event),
            Some(("user", _)) => $then!(user_activity::Activity, UserActivity, activity),
            Some(("developer", _)) => $then!(developer_activity::Activity, DeveloperActivity, activity),
            Some(("service_account", _)) => {
                $then!(service_account_activity::Activity, ServiceAccountActivity, activity)
            }
            _ => panic!("{} is of no known aggregate: add it here", $kind),
        }
    };
}

/// Reads a payload and writes it back.
fn written_back(kind: &str, payload: &Json) -> Json {
    macro_rules! read_and_write {
        ($payload:path, $message:ty, $field:ident) => {{
            let event = <$payload>::from_json(kind, payload.clone()).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(event.type_name(), kind);
            event.to_json().expect("an event can be written")
        }};
    }
    of_aggregate!(kind, read_and_write)
}

/// A payload of a type in which every field has a value.
fn filled_payload(kind: &str) -> Json {
    let (_, field) = kind.rsplit_once('.').expect("a dotted type");
    macro_rules! fill {
        ($payload:path, $message:ident, $field:ident) => {{
            let descriptor = events_message(stringify!($message));
            let chosen = descriptor.get_field_by_name(field).expect("a field of the oneof");
            let mut message = DynamicMessage::new(descriptor);
            message.set_field(&chosen, filled(&chosen));
            let message = <$message>::decode(message.encode_to_vec().as_slice()).expect("the same message");
            message.$field.expect("the chosen one").to_json().expect("an event can be written")
        }};
    }
    of_aggregate!(kind, fill)
}

fn events_message(name: &str) -> MessageDescriptor {
    let name = format!("userpool.events.v1.{name}");
    descriptor_pool().get_message_by_name(&name).unwrap_or_else(|| panic!("{name} is a message"))
}

fn is_field_of(message: &str, field: &str) -> bool {
    events_message(message).get_field_by_name(field).is_some()
}

fn filled(field: &FieldDescriptor) -> Value {
    let settings = field.parent_message().get_field_by_name("settings").map(|settings| settings.kind());
    match field.kind() {
        Kind::String if field.name() == "changed" => {
            let settings = settings.and_then(|kind| kind.as_message().cloned()).expect("what changed");
            Value::List(settings.fields().map(|field| Value::String(field.name().to_owned())).collect())
        }
        Kind::Message(entry) if field.is_map() => {
            let key = MapKey::String(format!("a key of {}", field.name()));
            Value::Map([(key, of_kind(&entry.map_entry_value_field()))].into())
        }
        _ if field.is_list() => Value::List(vec![of_kind(field)]),
        _ => of_kind(field),
    }
}

fn of_kind(field: &FieldDescriptor) -> Value {
    match field.kind() {
        Kind::String => Value::String(format!("a {}", field.name())),
        Kind::Bytes => Value::Bytes(format!("a sealed {}", field.name()).into_bytes().into()),
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(7),
        Kind::Int64 => Value::I64(7_000),
        // The first value after the unspecified one.
        Kind::Enum(kind) => {
            Value::EnumNumber(kind.values().map(|value| value.number()).find(|number| *number > 0).unwrap_or(0))
        }
        Kind::Message(message) => {
            let mut inner = DynamicMessage::new(message.clone());
            for field in message.fields() {
                inner.set_field(&field, filled(&field));
            }
            Value::Message(inner)
        }
        kind => panic!("{} is a {kind:?}: say here what fills it", field.full_name()),
    }
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The fixtures of a folder, by file name without extension.
fn fixtures(name: &str) -> BTreeMap<String, Json> {
    let entries = std::fs::read_dir(folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let read = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a fixture can be read");
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{stem}: {error}"));
        (stem, json)
    });
    read.collect()
}

fn event_fixtures() -> BTreeMap<String, Json> {
    missing_events();
    fixtures("events")
}

fn updates_fixtures() -> bool {
    std::env::var_os("UPDATE_FIXTURES").is_some()
}

fn write_fixture(folder_name: &str, name: &str, content: &impl Serialize) {
    std::fs::create_dir_all(folder(folder_name)).expect("the folder");
    let text = serde_json::to_string_pretty(content).expect("JSON");
    std::fs::write(folder(folder_name).join(format!("{name}.json")), text + "\n").expect("the fixture is written");
}

/// Writes the fixture of an event if it is missing and may be written. Returns whether it exists now.
fn exists_or_is_written(name: &str, content: impl FnOnce() -> Json) -> bool {
    let path = folder("events").join(format!("{name}.json"));
    if !path.exists() && updates_fixtures() {
        write_fixture("events", name, &content());
    }
    path.exists()
}

/// The payload after the destruction of the user's key.
fn erased(mut payload: Json) -> Json {
    payload.as_object_mut().and_then(|members| members.remove("personal")).expect("a personal part");
    payload
}

/// Events without a fixture, after the missing ones were written where that is allowed: done once, before any test
/// reads them.
fn missing_events() -> &'static [String] {
    static MISSING: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut missing = Vec::new();
        let mut check = |name: String, content: &dyn Fn() -> Json| {
            if !exists_or_is_written(&name, content) {
                missing.push(name);
            }
        };
        for kind in EVENT_TYPES {
            check(format!("{}.v1", kind.name), &|| filled_payload(kind.name));
            if kind.personal {
                check(format!("{}.v1.erased", kind.name), &|| erased(filled_payload(kind.name)));
            }
        }
        missing
    });
    &MISSING
}

#[test]
fn every_type_of_event_has_a_fixture() {
    let none: [String; 0] = [];
    assert_eq!(missing_events(), none, "run the tests with UPDATE_FIXTURES=1 to write fixtures of new types");
}

#[test]
fn every_fixture_is_read_and_written_back_the_same() {
    for (name, payload) in event_fixtures() {
        let (kind, version) = name.split_once(".v").expect("a type and a version");
        let known = EventType::by_name(kind).unwrap_or_else(|| panic!("{kind} can't be read any more"));
        // A later version, and the conversion of an earlier one to it, gets its own fixture and comparison.
        assert!(matches!(version, "1" | "1.erased"), "{name} is of a version that nobody writes");
        assert_eq!(written_back(kind, &payload), payload, "{name}");
        let has_person = payload.get("personal").is_some();
        assert_eq!(has_person, known.personal && version == "1", "{name}");
    }
}

#[test]
fn a_field_that_no_release_knows_is_not_skipped() {
    for (name, mut payload) in event_fixtures() {
        let (kind, _) = name.split_once(".v").expect("a type and a version");
        payload.as_object_mut().expect("an object").insert("unheard_of".to_owned(), Json::Null);
        macro_rules! refused {
            ($payload:path, $message:ty, $field:ident) => {
                <$payload>::from_json(kind, payload.clone()).is_err()
            };
        }
        assert!(of_aggregate!(kind, refused), "{name}");
    }
}

/// A state fixture is extended by new types of events, but the state after the events that it names is never changed.
#[derive(Serialize, Deserialize)]
struct StateFixture {
    /// The types of the events, in their order.
    events: Vec<String>,
    state: Json,
}

/// The state after the fixtures of these types of events.
fn state_after<A: Aggregate + Serialize>(kinds: &[String], stream: &StreamId, variant: &str) -> Json {
    let fixtures = event_fixtures();
    let event = |kind: &String| {
        let erased = fixtures.get(&format!("{kind}.v1{variant}"));
        let payload = erased.or_else(|| fixtures.get(&format!("{kind}.v1"))).expect("a fixture of each type");
        A::Event::from_json(kind, payload.clone()).expect("a fixture that is read")
    };
    let events: Vec<A::Event> = kinds.iter().map(event).collect();
    let state: Option<A> = replay(None, stream, events.iter().zip((1..).map(|at| Timestamp(at * 1_000))));
    serde_json::to_value(state.expect("it lives")).expect("a state can be written")
}

/// Events after which there is no state.
const ENDS: [&str; 2] = [".deleted", ".forgotten"];

fn check_state<A: Aggregate + Serialize>(message: &str, prefix: &str, stream: &StreamId, variant: &str) {
    let name = format!("{prefix}.r{}{variant}", A::REVISION);
    let path = folder("states").join(format!("{name}.json"));
    let mut events = Vec::new();
    if path.exists() {
        let text = std::fs::read_to_string(&path).expect("a fixture can be read");
        let known: StateFixture = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let state = state_after::<A>(&known.events, stream, variant);
        assert_eq!(known.state, state, "{name}: raise the revision of `apply` when it yields another state");
        events = known.events;
    }
    let message = events_message(message);
    let types = message.fields().map(|field| format!("{prefix}.{}", field.name()));
    let is_end = |kind: &str| ENDS.iter().any(|end| kind.ends_with(end));
    let new: Vec<_> = types.filter(|kind| !is_end(kind) && !events.contains(kind)).collect();
    if new.is_empty() {
        return;
    }
    assert!(updates_fixtures(), "{name} lacks {new:?}: run the tests with UPDATE_FIXTURES=1");
    events.extend(new);
    let state = state_after::<A>(&events, stream, variant);
    write_fixture("states", &name, &StateFixture { events, state });
}

#[test]
fn the_same_events_yield_the_same_state_unless_the_revision_says_otherwise() {
    let sub = StreamId::new("users/00000000-0000-4000-8000-000000000001");
    let group = StreamId::new("groups/00000000-0000-4000-8000-000000000002");
    let client = StreamId::new("clients/abcdefghijklmnopqrstuvwxyz");
    check_state::<UserPool>("UserPoolEvent", "user_pool", &StreamId::pool(), "");
    check_state::<AppClient>("AppClientEvent", "app_client", &client, "");
    let device = StreamId::new("devices/00000000-0000-4000-8000-000000000003");
    check_state::<Device>("DeviceEvent", "device", &device, "");
    check_state::<Group>("GroupEvent", "group", &group, "");
    check_state::<User>("UserEvent", "user", &sub, "");
    check_state::<User>("UserEvent", "user", &sub, ".erased");
}
