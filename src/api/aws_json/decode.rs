//! From a JSON body to the bytes of the request message.

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use serde_json::Value as Json;

use crate::api::aws_json::{flag, is_member, naming_field};
use crate::domain::error::{Error, Exception};
use crate::proto::document;
use crate::telemetry::metrics;

/// Reads a body by Cognito's names. Unknown members are ignored and counted; `null` is absent.
pub fn decode(descriptor: &MessageDescriptor, body: &[u8]) -> Result<Bytes, Error> {
    let json: Json = if body.is_empty() {
        Json::Object(serde_json::Map::new())
    } else {
        serde_json::from_slice(body).map_err(|_| serialization("The request is not valid JSON in UTF-8."))?
    };
    Ok(message(descriptor, &json, "the request")?.encode_to_vec().into())
}

/// The names of the fields that the body gives as empty lists or maps; the message can't tell these from absent ones.
fn given_empty(message: &DynamicMessage, json: &Json) -> Value {
    let given = |field: &FieldDescriptor| json.get(field.json_name()).is_some_and(|member| !member.is_null());
    let descriptor = message.descriptor();
    let empty = descriptor.fields().filter(|field| flag(field, "empty_differs") && !message.has_field(field));
    Value::List(empty.filter(given).map(|field| Value::String(field.name().to_owned())).collect())
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
        let field = descriptor.get_field_by_json_name(name);
        let Some(field) = field.filter(is_member) else {
            metrics::UNKNOWN_MEMBERS.add(1, []);
            continue;
        };
        if !json.is_null() {
            let value = field_value(&field, json, name)?;
            message.set_field(&field, value);
        }
    }
    if let Some(naming) = naming_field(descriptor) {
        let names = given_empty(&message, json);
        message.set_field(&naming, names);
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
        Kind::Message(descriptor) if descriptor.full_name() == "google.protobuf.Struct" => {
            let object = json.as_object().ok_or_else(|| wrong("a JSON object"))?;
            let expected = || wrong("a JSON object whose values lie in each other sixteen deep at most");
            plain(descriptor, &document::of_object(object).ok_or_else(expected)?).map(Value::Message)
        }
        Kind::Message(descriptor) => message(descriptor, json, path).map(Value::Message),
        _ => Err(Error::internal(format!("a field of an unexpected kind at {path}"))),
    }
}

/// Plain JSON as a message of its type.
fn plain(descriptor: &MessageDescriptor, document: &prost_types::Struct) -> Result<DynamicMessage, Error> {
    let bytes = document.encode_to_vec();
    DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).map_err(Error::internal)
}

fn timestamp(descriptor: &MessageDescriptor, seconds: f64) -> Option<Value> {
    // Years 1 to 9999: the range of the message.
    if !(-62_135_596_800.0..253_402_300_800.0).contains(&seconds) {
        return None;
    }
    // As a 64-bit float, a present-day time in seconds is exact to the microsecond, not to the nanosecond.
    let microseconds = (seconds * 1e6).round() as i64;
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("seconds", Value::I64(microseconds.div_euclid(1_000_000)));
    message.set_field_by_name("nanos", Value::I32(microseconds.rem_euclid(1_000_000) as i32 * 1_000));
    Some(Value::Message(message))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::api::aws_json::encode::encode;
    use crate::api::operation::Operation;
    use crate::proto::descriptor_pool;

    /// A stream of pseudo-random choices, from a seed.
    struct Choices(u64);

    impl Choices {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (mixed ^ (mixed >> 31)) % limit
        }

        fn text(&mut self) -> String {
            const CHARACTERS: [char; 12] = ['a', 'Z', '0', '_', ' ', '"', '\\', '\n', '\0', 'é', '東', '🦀'];
            (0..self.below(8)).map(|_| CHARACTERS[self.below(12) as usize]).collect()
        }

        fn scalar(&mut self, kind: &Kind, depth: usize) -> Value {
            match kind {
                Kind::String => Value::String(self.text()),
                Kind::Bool => Value::Bool(self.below(2) == 0),
                Kind::Int32 => Value::I32(self.below(u64::MAX) as i32),
                Kind::Int64 => Value::I64(self.below(u64::MAX) as i64),
                Kind::Bytes => Value::Bytes((0..self.below(20)).map(|_| self.below(256) as u8).collect()),
                Kind::Message(descriptor) if descriptor.full_name() == "google.protobuf.Timestamp" => {
                    let mut time = DynamicMessage::new(descriptor.clone());
                    time.set_field_by_name("seconds", Value::I64(self.below(4_000_000_000) as i64));
                    // Zero is absent once the message was encoded.
                    let milliseconds = 1 + self.below(999) as i32;
                    time.set_field_by_name("nanos", Value::I32(milliseconds * 1_000_000));
                    Value::Message(time)
                }
                Kind::Message(descriptor) if descriptor.full_name() == "google.protobuf.Struct" => {
                    let number = self.below(1_000) as i64 - 500;
                    let json = serde_json::json!({ "alg": number, "list": [self.text(), { "half": 0.5 }], "no": null });
                    let document = document::of_object(json.as_object().unwrap()).unwrap();
                    Value::Message(plain(descriptor, &document).unwrap())
                }
                Kind::Message(descriptor) => Value::Message(self.message(descriptor, depth + 1)),
                other => panic!("the API has no fields of the kind {other:?}"),
            }
        }

        /// Any message of a type. Empty lists and maps are not made: on the wire they are absent.
        fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
            let mut message = DynamicMessage::new(descriptor.clone());
            for field in descriptor.fields() {
                // The field that names empty lists is not a member of the JSON.
                if depth > 5 || self.below(3) == 0 || flag(&field, "names_empty") {
                    continue;
                }
                let value = if field.is_map() {
                    let Kind::Message(entry) = field.kind() else { unreachable!("a map has entries") };
                    let kind = entry.map_entry_value_field().kind();
                    let size = 1 + self.below(2);
                    let entries = (0..size).map(|_| (MapKey::String(self.text()), self.scalar(&kind, depth)));
                    Value::Map(entries.collect::<HashMap<_, _>>())
                } else if field.is_list() {
                    let size = 1 + self.below(2);
                    Value::List((0..size).map(|_| self.scalar(&field.kind(), depth)).collect())
                } else {
                    self.scalar(&field.kind(), depth)
                };
                message.set_field(&field, value);
            }
            message
        }
    }

    fn descriptor(name: &str) -> MessageDescriptor {
        descriptor_pool().get_message_by_name(name).unwrap()
    }

    fn assert_survives(message: &DynamicMessage) {
        let descriptor = prost_reflect::ReflectMessage::descriptor(message);
        let json = encode(message);
        let decoded = decode(&descriptor, json.to_string().as_bytes()).unwrap();
        let read = DynamicMessage::decode(descriptor, decoded).unwrap();
        assert_eq!(&read, message, "{json}");
    }

    #[test]
    fn a_message_of_every_type_survives_the_way_through_json() {
        let mut choices = Choices(1);
        for operation in Operation::ALL {
            for name in [operation.info().request, operation.info().response] {
                assert_survives(&choices.message(&descriptor(name), 0));
            }
        }
    }

    #[test]
    fn times_are_exact_to_the_millisecond() {
        let user = descriptor("userpool.v1.UserType");
        for (json, seconds, nanos) in
            [("1700000000.123", 1_700_000_000, 123_000_000), ("0.999", 0, 999_000_000), ("-0.5", -1, 500_000_000)]
        {
            let decoded = decode(&user, format!(r#"{{"UserCreateDate": {json}}}"#).as_bytes()).unwrap();
            let read = <crate::proto::v1::UserType as prost::Message>::decode(decoded).unwrap();
            let expected = prost_types::Timestamp { seconds, nanos };
            assert_eq!(read.user_create_date, Some(expected), "{json}");
        }
    }

    #[test]
    fn a_document_is_plain_json_with_integers() {
        let response = descriptor("userpool.v1.StartWebAuthnRegistrationResponse");
        let body = br#"{"CredentialCreationOptions":{"pubKeyCredParams":[{"alg":-7}],"rp":null}}"#;
        let decoded = DynamicMessage::decode(response.clone(), decode(&response, body).unwrap()).unwrap();
        assert_eq!(encode(&decoded).to_string().as_bytes(), body);
        let deep = (0..17).fold(String::from("1"), |inner, _| format!(r#"{{"a":{inner}}}"#));
        for wrong in [r#""text""#, "[1]", &deep] {
            let body = format!(r#"{{"CredentialCreationOptions":{wrong}}}"#);
            let refused = decode(&response, body.as_bytes()).unwrap_err();
            assert_eq!(refused.exception, Exception::SerializationException);
        }
    }

    #[test]
    fn unknown_members_and_null_are_ignored() {
        let request = descriptor("userpool.v1.SignUpRequest");
        let plain = decode(&request, br#"{"ClientId": "a"}"#).unwrap();
        let more = br#"{"ClientId": "a", "Username": null, "UserAttributes": null, "ClientMetadata": {"a": null}, "Neu": {"x": [1]}}"#;
        assert_eq!(decode(&request, more).unwrap(), plain);
        assert_eq!(decode(&request, b"").unwrap(), decode(&request, b"{}").unwrap());
    }

    #[test]
    fn an_empty_list_is_named_where_it_differs_from_an_absent_one() {
        let request = descriptor("userpool.v1.CreateUserPoolClientRequest");
        let decoded = |json: &str| DynamicMessage::decode(request.clone(), decode(&request, json.as_bytes()).unwrap());
        let given = |json: &str| {
            let names = decoded(json).unwrap().get_field_by_name("given_empty").unwrap().into_owned();
            names.as_list().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(given(r#"{"ReadAttributes": []}"#), ["read_attributes"]);
        assert_eq!(given(r#"{"WriteAttributes": [], "ReadAttributes": ["a"]}"#), ["write_attributes"]);
        for no_choice in [
            "{}",
            r#"{"ReadAttributes": null}"#,
            r#"{"CallbackURLs": []}"#,
            r#"{"ClientName": ""}"#,
            r#"{"GivenEmpty": ["read_attributes"]}"#,
        ] {
            assert_eq!(given(no_choice), [""; 0], "{no_choice}");
        }
        // Lists given empty are written empty, at any depth of a message.
        let both = decoded(r#"{"ExplicitAuthFlows": [], "ReadAttributes": ["a"], "WriteAttributes": []}"#).unwrap();
        let written = serde_json::json!({ "ExplicitAuthFlows": [], "ReadAttributes": ["a"], "WriteAttributes": [] });
        assert_eq!(encode(&both), written);
        let answer = descriptor("userpool.v1.DescribeUserPoolClientResponse");
        let body = serde_json::json!({ "UserPoolClient": written }).to_string();
        let answer = DynamicMessage::decode(answer.clone(), decode(&answer, body.as_bytes()).unwrap()).unwrap();
        assert_eq!(encode(&answer).to_string(), body);
    }

    #[test]
    fn wrong_types_are_reported_by_field_name() {
        let request = descriptor("userpool.v1.CreateUserPoolClientRequest");
        for (json, message) in [
            (r#"[]"#, "the request must be a JSON object."),
            (r#"{"UserPoolId": 1}"#, "UserPoolId must be a string."),
            (r#"{"GenerateSecret": "true"}"#, "GenerateSecret must be true or false."),
            (r#"{"RefreshTokenValidity": "1"}"#, "RefreshTokenValidity must be an integer of 32 bits."),
            (r#"{"RefreshTokenValidity": 1.5}"#, "RefreshTokenValidity must be an integer of 32 bits."),
            (r#"{"RefreshTokenValidity": 2147483648}"#, "RefreshTokenValidity must be an integer of 32 bits."),
            (r#"{"CallbackURLs": {}}"#, "CallbackURLs must be a list."),
            (r#"{"CallbackURLs": [null]}"#, "CallbackURLs must be a string."),
            (r#"{"TokenValidityUnits": []}"#, "TokenValidityUnits must be a JSON object."),
        ] {
            let error = decode(&request, json.as_bytes()).unwrap_err();
            assert_eq!(
                (error.exception, error.message.as_ref()),
                (Exception::SerializationException, message),
                "{json}"
            );
        }
    }

    /// Any JSON, with the members of a request among its names.
    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            ".{0,8}".prop_map(Json::from),
        ];
        let name = prop_oneof![
            Just("UserPoolId".to_owned()),
            Just("Policies".to_owned()),
            Just("PasswordPolicy".to_owned()),
            Just("Schema".to_owned()),
            Just("UserPoolTags".to_owned()),
            Just("AcrConfiguration".to_owned()),
            ".{0,8}",
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::vec((name.clone(), inner), 0..4).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_message_survives_the_way_through_json(seed: u64) {
            for name in ["CreateUserPoolRequest", "SignUpRequest", "UserType", "SetUICustomizationRequest"] {
                assert_survives(&Choices(seed).message(&descriptor(&format!("userpool.v1.{name}")), 0));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Err(error) = decode(&descriptor("userpool.v1.CreateUserPoolRequest"), &body) {
                prop_assert_eq!(error.exception, Exception::SerializationException);
            }
        }

        #[test]
        fn any_json_is_read_or_refused(json in json()) {
            if let Err(error) = decode(&descriptor("userpool.v1.CreateUserPoolRequest"), json.to_string().as_bytes()) {
                prop_assert_eq!(error.exception, Exception::SerializationException);
            }
        }
    }
}
