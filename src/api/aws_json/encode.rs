//! From a response message to JSON by Cognito's names.

use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage, Value};
use prost_types::Struct;
use serde_json::{Map, Number, Value as Json};

use crate::api::aws_json::{flag, naming_field};
use crate::proto::document;

/// Writes a message. Absent fields are left out. Empty lists are written if they are marked, or if the message names
/// them as empty on purpose.
pub fn encode(message: &DynamicMessage) -> Json {
    let mut members = Map::new();
    let naming = naming_field(&message.descriptor());
    let named = naming.as_ref().map(|naming| message.get_field(naming));
    let is_empty_on_purpose = |field: &FieldDescriptor| {
        let names = named.as_deref().and_then(Value::as_list).unwrap_or_default();
        names.iter().any(|name| name.as_str() == Some(field.name()))
    };
    for field in message.descriptor().fields().filter(|field| Some(field) != naming.as_ref()) {
        if message.has_field(&field) || flag(&field, "always_emit") || is_empty_on_purpose(&field) {
            members.insert(field.json_name().to_owned(), value(&message.get_field(&field)));
        }
    }
    Json::Object(members)
}

fn value(shown: &Value) -> Json {
    match shown {
        Value::Bool(it) => Json::Bool(*it),
        Value::I32(it) => Json::from(*it),
        Value::I64(it) => Json::from(*it),
        Value::U32(it) => Json::from(*it),
        Value::U64(it) => Json::from(*it),
        Value::F32(it) => Number::from_f64(f64::from(*it)).map_or(Json::Null, Json::Number),
        Value::F64(it) => Number::from_f64(*it).map_or(Json::Null, Json::Number),
        Value::EnumNumber(it) => Json::from(*it),
        Value::String(it) => Json::String(it.clone()),
        Value::Bytes(it) => {
            use base64::Engine;
            Json::String(base64::engine::general_purpose::STANDARD.encode(it))
        }
        Value::Message(it) if it.descriptor().full_name() == "google.protobuf.Timestamp" => epoch_seconds(it),
        Value::Message(it) if it.descriptor().full_name() == "google.protobuf.Struct" => plain(it),
        Value::Message(it) => encode(it),
        Value::List(items) => Json::Array(items.iter().map(value).collect()),
        Value::Map(entries) => {
            let mut members: Vec<_> = entries.iter().map(|(key, entry)| (map_key(key), value(entry))).collect();
            members.sort_by(|one, other| one.0.cmp(&other.0));
            Json::Object(members.into_iter().collect())
        }
    }
}

/// Plain JSON. The bytes are those of a message of this type, so they can be read.
fn plain(document: &DynamicMessage) -> Json {
    let document = Struct::decode(document.encode_to_vec().as_slice()).unwrap_or_default();
    Json::Object(document::to_object(&document))
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => text.clone(),
        MapKey::Bool(it) => it.to_string(),
        MapKey::I32(it) => it.to_string(),
        MapKey::I64(it) => it.to_string(),
        MapKey::U32(it) => it.to_string(),
        MapKey::U64(it) => it.to_string(),
    }
}

/// Seconds since 1970 with milliseconds.
fn epoch_seconds(timestamp: &DynamicMessage) -> Json {
    let number = |name: &str| timestamp.get_field_by_name(name);
    let seconds = number("seconds").and_then(|it| it.as_i64()).unwrap_or(0);
    let milliseconds = number("nanos").and_then(|it| it.as_i32()).unwrap_or(0) / 1_000_000;
    if milliseconds == 0 {
        return Json::from(seconds);
    }
    // Present-day seconds are far below 2^53, so the sum is exact to the millisecond.
    Number::from_f64(seconds as f64 + f64::from(milliseconds) / 1000.0).map_or(Json::Null, Json::Number)
}
