//! From a JSON body to the bytes of the request message.

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde_json::Value as Json;

use crate::domain::error::{Error, Exception};

/// Reads a body by Cognito's names. Unknown members are ignored and counted; `null` is absent.
pub fn decode(descriptor: &MessageDescriptor, body: &[u8]) -> Result<Bytes, Error> {
    let json: Json = if body.is_empty() {
        Json::Object(serde_json::Map::new())
    } else {
        serde_json::from_slice(body).map_err(|_| serialization("The request is not valid JSON in UTF-8."))?
    };
    Ok(message(descriptor, &json, "the request")?.encode_to_vec().into())
}

fn serialization(what: impl Into<String>) -> Error {
    Error::new(Exception::SerializationException, what.into())
}

fn message(descriptor: &MessageDescriptor, json: &Json, path: &str) -> Result<DynamicMessage, Error> {
    let Some(members) = json.as_object() else {
        return Err(serialization(format!("{path} must be a JSON object.")));
    };
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, json) in members {
        let Some(field) = descriptor.get_field_by_json_name(name) else {
            metrics::counter!("userpool_unknown_members_total").increment(1);
            continue;
        };
        if !json.is_null() {
            let value = field_value(&field, json, name)?;
            message.set_field(&field, value);
        }
    }
    Ok(message)
}

fn field_value(field: &FieldDescriptor, json: &Json, path: &str) -> Result<Value, Error> {
    if field.is_map() {
        return map(field, json, path);
    }
    if field.is_list() {
        let items = json.as_array().ok_or_else(|| serialization(format!("{path} must be a list.")))?;
        let items = items.iter().map(|item| scalar(&field.kind(), item, path)).collect::<Result<_, _>>()?;
        return Ok(Value::List(items));
    }
    scalar(&field.kind(), json, path)
}

fn map(field: &FieldDescriptor, json: &Json, path: &str) -> Result<Value, Error> {
    let members = json.as_object().ok_or_else(|| serialization(format!("{path} must be a map.")))?;
    let Kind::Message(entry) = field.kind() else {
        return Err(Error::internal("a map without entries"));
    };
    let kind = entry.map_entry_value_field().kind();
    let mut map = std::collections::HashMap::with_capacity(members.len());
    for (key, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        map.insert(MapKey::String(key.clone()), scalar(&kind, value, path)?);
    }
    Ok(Value::Map(map))
}

fn scalar(kind: &Kind, json: &Json, path: &str) -> Result<Value, Error> {
    let wrong = |expected: &str| serialization(format!("{path} must be {expected}."));
    match kind {
        Kind::String => json.as_str().map(|text| Value::String(text.to_owned())).ok_or_else(|| wrong("a string")),
        Kind::Bool => json.as_bool().map(Value::Bool).ok_or_else(|| wrong("true or false")),
        Kind::Int32 => {
            let number = json.as_i64().and_then(|number| i32::try_from(number).ok());
            number.map(Value::I32).ok_or_else(|| wrong("an integer of 32 bits"))
        }
        Kind::Int64 => json.as_i64().map(Value::I64).ok_or_else(|| wrong("an integer")),
        Kind::Bytes => {
            use base64::Engine;
            let text = json.as_str().ok_or_else(|| wrong("a base64 string"))?;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| wrong("a base64 string"))?;
            Ok(Value::Bytes(bytes.into()))
        }
        Kind::Message(descriptor) if descriptor.full_name() == "google.protobuf.Timestamp" => {
            let seconds = json.as_f64().ok_or_else(|| wrong("a time in seconds since 1970"))?;
            timestamp(descriptor, seconds).ok_or_else(|| wrong("a time in seconds since 1970"))
        }
        Kind::Message(descriptor) => message(descriptor, json, path).map(Value::Message),
        _ => Err(Error::internal(format!("a field of an unexpected kind at {path}"))),
    }
}

fn timestamp(descriptor: &MessageDescriptor, seconds: f64) -> Option<Value> {
    // Years 1 to 9999, which is what the message may hold.
    if !(-62_135_596_800.0..253_402_300_800.0).contains(&seconds) {
        return None;
    }
    let whole = seconds.floor();
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("seconds", Value::I64(whole as i64));
    message.set_field_by_name("nanos", Value::I32(((seconds - whole) * 1e9) as i32));
    Some(Value::Message(message))
}
