//! Plain JSON inside a message: Cognito's `Document`, which is `google.protobuf.Struct` here.

use prost_types::value::Kind;
use prost_types::{ListValue, NullValue, Struct, Value};
use serde_json::{Map, Number, Value as Json};

/// How deep values may lie in each other. Deeper messages would be refused where they are read.
pub const MOST_LEVELS: usize = 16;

/// The numbers that JSON and a 64-bit float write alike without a fraction.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A JSON object as a message; `None` if it is too deep.
pub fn of_object(object: &Map<String, Json>) -> Option<Struct> {
    struct_of(object, MOST_LEVELS)
}

/// A message as the JSON object that it stands for. Numbers without a fraction are written without one.
pub fn to_object(document: &Struct) -> Map<String, Json> {
    document.fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect()
}

fn struct_of(object: &Map<String, Json>, levels: usize) -> Option<Struct> {
    let field = |(name, value): (&String, &Json)| Some((name.clone(), value_of(value, levels.checked_sub(1)?)?));
    Some(Struct { fields: object.iter().map(field).collect::<Option<_>>()? })
}

fn value_of(json: &Json, levels: usize) -> Option<Value> {
    let kind = match json {
        Json::Null => Kind::NullValue(NullValue::NullValue.into()),
        Json::Bool(it) => Kind::BoolValue(*it),
        // Integers beyond 2^53 lose their last digits, as in every browser.
        Json::Number(it) => Kind::NumberValue(it.as_f64()?),
        Json::String(it) => Kind::StringValue(it.clone()),
        Json::Array(items) => {
            let items = items.iter().map(|item| value_of(item, levels.checked_sub(1)?));
            Kind::ListValue(ListValue { values: items.collect::<Option<_>>()? })
        }
        Json::Object(object) => Kind::StructValue(struct_of(object, levels)?),
    };
    Some(Value { kind: Some(kind) })
}

fn to_json(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(it)) => Json::Bool(*it),
        Some(Kind::NumberValue(it)) => number(*it),
        Some(Kind::StringValue(it)) => Json::String(it.clone()),
        Some(Kind::ListValue(list)) => list.values.iter().map(to_json).collect(),
        Some(Kind::StructValue(document)) => Json::Object(to_object(document)),
    }
}

fn number(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Json::from(number as i64);
    }
    // What is no number in JSON is none here.
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_the_same_json_after_its_way_through_a_message() {
        let given = json!({
            "alg": -7, "half": 0.5, "large": 9_007_199_254_740_991_i64, "text": "a", "none": null, "true": true,
            "list": [1, [2, {"three": 3}], {}], "empty": {}, "no items": [],
        });
        let document = of_object(given.as_object().unwrap()).unwrap();
        let written = Json::Object(to_object(&document));
        assert_eq!(written, given);
        assert!(written.to_string().contains(r#""alg":-7,"#), "{written}");
    }

    #[test]
    fn a_document_that_is_too_deep_is_none() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "a": [inner] }));
        assert!(of_object(nested(MOST_LEVELS / 2).as_object().unwrap()).is_some());
        assert!(of_object(nested(MOST_LEVELS / 2 + 1).as_object().unwrap()).is_none());
    }

    #[test]
    fn what_is_no_number_in_json_is_null() {
        for none in [f64::NAN, f64::INFINITY] {
            assert_eq!(to_json(&Value { kind: Some(Kind::NumberValue(none)) }), Json::Null);
        }
        assert_eq!(to_json(&Value { kind: None }), Json::Null);
    }
}
