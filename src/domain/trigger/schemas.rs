//! The published JSON Schemas: every event that a unit test makes has to fit its schema, and no schema names what events
//! lack.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::domain::trigger::Trigger;

/// The schema of a trigger's events or answers.
fn schema(name: &str) -> Value {
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/triggers")
}

/// Fails unless an event fits the schema of its trigger.
pub fn assert_fits(trigger: Trigger, event: &[u8]) {
    let event: Value = serde_json::from_slice(event).unwrap();
    let form = if event["version"] == "1" { "" } else { "-v2" };
    let name = format!("{}{form}.event", trigger.topic());
    if let Err(why) = fits(&schema(&name), &event) {
        panic!("{event} does not fit docs/schemas/triggers/{name}.json: {why}");
    }
}

/// Whether a value fits a schema, by the keywords that these schemas use. Another keyword is an error.
fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().ok_or("a schema is an object")? {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => texts(rule).contains(&kind(value)),
            "const" => rule == value,
            "enum" => texts(rule).iter().any(|text| value == text),
            "required" => {
                value.as_object().is_none_or(|given| texts(rule).iter().all(|name| given.contains_key(*name)))
            }
            "properties" => all(value, |name, value| rule.get(name).map_or(Ok(()), |rule| fits(rule, value)))?,
            "additionalProperties" => all(value, |name, value| match (schema["properties"].get(name), rule) {
                (Some(_), _) => Ok(()),
                (None, Value::Bool(false)) => Err(format!("`{name}` is no member of it")),
                (None, rule) => fits(rule, value),
            })?,
            "items" => value.as_array().into_iter().flatten().try_for_each(|item| fits(rule, item)).map(|()| true)?,
            "anyOf" => rule.as_array().is_some_and(|forms| forms.iter().any(|form| fits(form, value).is_ok())),
            _ => return Err(format!("the keyword {keyword} is not known")),
        };
        if !holds {
            return Err(format!("{value} breaks {keyword} {rule}"));
        }
    }
    Ok(())
}

fn all(value: &Value, check: impl Fn(&str, &Value) -> Result<(), String>) -> Result<bool, String> {
    let mut members = value.as_object().into_iter().flatten();
    members.try_for_each(|(name, value)| check(name, value).map_err(|why| format!("{name}: {why}")))?;
    Ok(true)
}

fn texts(rule: &Value) -> Vec<&str> {
    match rule {
        Value::String(text) => vec![text],
        rule => rule.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The members of `response` in a schema.
fn response(name: &str) -> Vec<String> {
    let names = |members: &Map<String, Value>| members.keys().cloned().collect();
    schema(name)["properties"]["response"]["properties"].as_object().map(names).unwrap_or_default()
}

#[test]
fn each_trigger_has_schemas_and_the_answer_has_the_members_of_the_event() {
    let asyncapi = std::fs::read_to_string(folder().join("../../triggers.asyncapi.yaml")).unwrap();
    for trigger in Trigger::ALL {
        let topic = trigger.topic();
        assert!(asyncapi.contains(&format!("address: userpool.triggers.{topic}\n")), "{topic}");
        let forms = if trigger == Trigger::PreTokenGeneration { &["", "-v2"][..] } else { &[""] };
        for name in forms.iter().map(|form| format!("{topic}{form}")) {
            let event = format!("{name}.event");
            assert!(asyncapi.contains(&format!("schemas/triggers/{event}.json\n")), "{event}");
            let prefix = schema(&event)["properties"]["triggerSource"]["enum"][0].as_str().unwrap().to_owned();
            assert!(prefix.contains('_') && trigger.name().ends_with(prefix.split('_').next().unwrap()), "{prefix}");
            if trigger.is_told() {
                assert_eq!(response(&event), Vec::<String>::new());
            } else {
                let answer = format!("{name}.response");
                assert_eq!(response(&event), response(&answer), "{answer}");
                assert!(asyncapi.contains(&format!("schemas/triggers/{answer}.json\n")), "{answer}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let schema = schema("pre-sign-up.response");
    for (answer, is_right) in [
        (r#"{"response": {"autoConfirmUser": true, "autoVerifyEmail": null}, "version": "1"}"#, true),
        (r#"{"errorMessage": "no"}"#, true),
        (r#"{"response": {"autoConfirmUser": "true"}}"#, false),
        (r#"{"response": null}"#, false),
        ("{}", false),
        ("null", false),
    ] {
        let fitted = fits(&schema, &serde_json::from_str(answer).unwrap());
        assert_eq!(fitted.is_ok(), is_right, "{answer}: {fitted:?}");
    }
}
