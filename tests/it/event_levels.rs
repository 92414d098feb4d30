//! Since which level events have their types, fields and values of enumerations: what is new since the last release has a
//! level above all of that release's, so that it is not written while servers of that release may have to read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use userpool::proto::{NEWEST_LEVEL, descriptor_pool};

/// The module with which the build reads them.
#[path = "../../build/levels.rs"]
mod levels;

use levels::{FIRST, Later, Step};

/// Levels by the names of what has them.
type Levels = BTreeMap<String, i32>;

/// Everything that events are made of: their types, and below them fields and values of enumerations.
fn declared(pool: &DescriptorPool) -> Levels {
    let mut found = Levels::new();
    let (mut open, mut seen) = (Vec::new(), BTreeSet::new());
    for file in pool.files().filter(|file| file.package_name() == "userpool.events.v1") {
        for message in file.messages() {
            for field in
                message.oneofs().filter(|oneof| !oneof.is_synthetic()).flat_map(|of| of.fields().collect::<Vec<_>>())
            {
                found.insert(field.full_name().to_owned(), levels::of_field(&field).expect("a level"));
                open.extend(field.kind().as_message().cloned());
            }
        }
    }
    while let Some(message) = open.pop() {
        if seen.insert(message.full_name().to_owned()) {
            add(&message, &mut found, &mut open);
        }
    }
    found
}

fn add(message: &MessageDescriptor, found: &mut Levels, open: &mut Vec<MessageDescriptor>) {
    for field in message.fields() {
        found.insert(field.full_name().to_owned(), levels::of_field(&field).expect("a level"));
        match levels::value_kind(&field) {
            Kind::Message(inner) => open.push(inner),
            Kind::Enum(kind) => {
                for value in kind.values() {
                    found.insert(value.full_name().to_owned(), levels::of_value(&value).expect("a level"));
                }
            }
            _ => {}
        }
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/contract/event_levels.txt")
}

fn released() -> Levels {
    let text = std::fs::read_to_string(file()).expect("the levels of the last release");
    let line = |line: &str| {
        let (level, name) = line.split_once(' ').expect("a level and a name");
        (name.to_owned(), level.parse().expect("a number"))
    };
    text.lines().map(line).collect()
}

/// What is wrong with today's levels beside those of the last release.
fn faults(released: &Levels, today: &Levels) -> Vec<String> {
    let newest = released.values().copied().fold(FIRST - 1, i32::max);
    let changed = released.iter().filter_map(|(name, level)| match today.get(name) {
        Some(now) if now == level => None,
        Some(now) => Some(format!("{name} was of level {level} and is of level {now}")),
        None => Some(format!("{name} is gone")),
    });
    let new = today.iter().filter(|(name, _)| !released.contains_key(*name));
    let new = new.filter(|(_, level)| **level != newest + 1).map(|(name, level)| {
        format!("{name} is new since the last release, so it has to declare level {} and not {level}", newest + 1)
    });
    changed.chain(new).collect()
}

/// `UPDATE_LEVELS=1` writes the levels of today as those of the last release: only while one is made.
#[test]
fn what_is_new_in_events_has_a_level_above_those_of_the_last_release() {
    let today = declared(descriptor_pool());
    if std::env::var_os("UPDATE_LEVELS").is_some() {
        let lines = today.iter().map(|(name, level)| format!("{level} {name}\n"));
        std::fs::write(file(), lines.collect::<String>()).expect("it is ours");
    }
    assert_eq!(faults(&released(), &today), Vec::<String>::new());
    assert_eq!(today.values().copied().max(), Some(NEWEST_LEVEL));
}

#[test]
fn an_addition_without_a_level_is_found_and_so_is_a_changed_level() {
    let of =
        |levels: &[(&str, i32)]| levels.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect::<Levels>();
    let released = of(&[("a", 1), ("b", 2)]);
    for (fine, today) in [
        (true, of(&[("a", 1), ("b", 2)])),
        (true, of(&[("a", 1), ("b", 2), ("c", 3), ("d", 3)])),
        (false, of(&[("a", 1), ("b", 2), ("c", 1)])),
        (false, of(&[("a", 1), ("b", 2), ("c", 2)])),
        (false, of(&[("a", 1), ("b", 2), ("c", 4)])),
        (false, of(&[("a", 1), ("b", 3)])),
        (false, of(&[("a", 1)])),
    ] {
        assert_eq!(faults(&released, &today).is_empty(), fine, "{today:?}");
    }
}

/// Events of a later release.
const TOMORROW: &str = r#"
syntax = "proto3";
package userpool.events.v1;
import "userpool/v1/options.proto";

message DeviceEvent {
  oneof event {
    DeviceRemembered remembered = 1 [(userpool.v1.since) = 2];
    DeviceForgotten forgotten = 2;
  }
}
message DeviceRemembered {
  string label = 1;
  optional string note = 2 [(userpool.v1.since) = 3];
  Kind kind = 3;
  repeated Key keys = 4;
  map<string, Key> spares = 5 [(userpool.v1.since) = 5];
}
message DeviceForgotten {}
message Key {
  bytes curve = 1 [(userpool.v1.since) = 4];
  Kind kind = 2;
}
enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_PASSKEY = 1 [(userpool.v1.value_since) = 3];
}
"#;

/// The descriptors of a text, which may use our options.
fn compiled(text: &str) -> DescriptorPool {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("tomorrow.proto"), text).expect("the directory is ours");
    let ours = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([directory.path().to_owned(), ours]).expect("directories of protos");
    compiler.include_imports(true).open_file("tomorrow.proto").expect("it compiles");
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).expect("descriptors")
}

#[test]
fn the_levels_of_types_fields_and_values_are_found_however_deep() {
    let pool = compiled(TOMORROW);
    let event = pool.get_message_by_name("userpool.events.v1.DeviceEvent").expect("it is there");
    let of = |name: &str| levels::of_field(&event.get_field_by_name(name).expect("a type")).expect("a level");
    assert_eq!((of("remembered"), of("forgotten")), (2, 1));

    let payload = pool.get_message_by_name("userpool.events.v1.DeviceRemembered").expect("it is there");
    let (field, each) = (|name: &str| Step::Field(name.to_owned()), || Step::Each);
    let later =
        |way: &[Step], value: Option<&str>, since| Later { way: way.to_vec(), value: value.map(str::to_owned), since };
    let passkey = Some("KIND_PASSKEY");
    assert_eq!(
        levels::later(&payload).expect("levels"),
        [
            later(&[field("note")], None, 3),
            later(&[field("kind")], passkey, 3),
            later(&[field("keys"), each(), field("curve")], None, 4),
            later(&[field("keys"), each(), field("kind")], passkey, 3),
            later(&[field("spares")], None, 5),
            later(&[field("spares"), each(), field("curve")], None, 4),
            later(&[field("spares"), each(), field("kind")], passkey, 3),
        ]
    );
}

#[test]
fn a_message_within_itself_and_a_level_that_is_none_are_refused() {
    for (change, fault) in [
        ("bytes curve = 1 [(userpool.v1.since) = 4];", "string curve = 1 [(userpool.v1.since) = 1];"),
        ("bytes curve = 1 [(userpool.v1.since) = 4];", "Key curve = 1;"),
        ("(userpool.v1.value_since) = 3", "(userpool.v1.value_since) = 0"),
    ] {
        let pool = compiled(&TOMORROW.replace(change, fault));
        let payload = pool.get_message_by_name("userpool.events.v1.DeviceRemembered").expect("it is there");
        assert!(levels::later(&payload).is_err(), "{fault}");
    }
}
