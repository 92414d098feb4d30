//! The body of a request to an SMS gateway, made from a template.
//!
//! A template is parsed once, in its format, and values are inserted as data: no value can change the form of the body.

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::message::fill_places;

/// The format of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyFormat {
    /// A document with the media type `application/json`.
    #[default]
    Json,
    /// Fields with the media type `application/x-www-form-urlencoded`.
    Form,
}

/// A template that can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// The template is not valid JSON.
    #[error("it is not JSON ({0})")]
    NotJson(String),
    /// A required placeholder is missing.
    #[error("it has no place for {0}")]
    Lacks(&'static str),
}

/// A template, parsed in its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyTemplate {
    /// JSON whose texts contain placeholders.
    Json(Value),
    /// Fields whose values contain placeholders.
    Form(Vec<(String, String)>),
}

/// The values for the placeholders.
#[derive(Clone, Copy)]
pub struct BodyValues<'a> {
    /// The recipient's phone number, for `{to}`.
    pub to: &'a str,
    /// The text of the SMS, for `{message}`.
    pub message: &'a str,
    /// The configured sender, for `{sender}`.
    pub sender: &'a str,
}

const TO: &str = "{to}";
const MESSAGE: &str = "{message}";
const SENDER: &str = "{sender}";

impl BodyTemplate {
    /// Parses a template and checks that it has the required placeholders.
    pub fn parse(format: BodyFormat, text: &str) -> Result<Self, BodyError> {
        let template = match format {
            BodyFormat::Json => {
                Self::Json(serde_json::from_str(text).map_err(|error| BodyError::NotJson(error.to_string()))?)
            }
            BodyFormat::Form => Self::Form(form_fields(text)),
        };
        for place in [TO, MESSAGE] {
            if !template.names(place) {
                return Err(BodyError::Lacks(place));
            }
        }
        Ok(template)
    }

    /// Whether there is a placeholder for the sender.
    pub fn names_sender(&self) -> bool {
        self.names(SENDER)
    }

    fn names(&self, place: &str) -> bool {
        match self {
            Self::Json(value) => json_names(value, place),
            Self::Form(fields) => fields.iter().any(|(_, value)| value.contains(place)),
        }
    }

    /// The media type of the body.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
        }
    }

    /// The body with its values inserted.
    pub fn filled(&self, values: BodyValues<'_>) -> String {
        match self {
            Self::Json(template) => filled_json(template, values).to_string(),
            Self::Form(fields) => {
                let mut url = empty_url();
                url.query_pairs_mut().extend_pairs(fields.iter().map(|(name, value)| (name, filled(value, values))));
                url.query().unwrap_or_default().to_owned()
            }
        }
    }
}

fn filled(text: &str, values: BodyValues<'_>) -> String {
    fill_places(text, &[(TO, values.to), (MESSAGE, values.message), (SENDER, values.sender)])
}

fn filled_json(template: &Value, values: BodyValues<'_>) -> Value {
    match template {
        Value::String(text) => Value::String(filled(text, values)),
        Value::Array(items) => items.iter().map(|item| filled_json(item, values)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), filled_json(value, values))).collect())
        }
        other => other.clone(),
    }
}

fn json_names(value: &Value, place: &str) -> bool {
    match value {
        Value::String(text) => text.contains(place),
        Value::Array(items) => items.iter().any(|item| json_names(item, place)),
        Value::Object(members) => members.values().any(|member| json_names(member, place)),
        _ => false,
    }
}

fn form_fields(text: &str) -> Vec<(String, String)> {
    let mut url = empty_url();
    url.set_query(Some(text));
    url.query_pairs().into_owned().collect()
}

/// The form encoding is that of a URL's query.
#[expect(clippy::expect_used, reason = "the constant is a URL")]
fn empty_url() -> Url {
    Url::parse("form:/").expect("a URL")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUES: BodyValues<'static> =
        BodyValues { to: "+12025550123", message: "Your code is 1", sender: "userpool" };

    #[test]
    fn json_texts_are_filled_in_at_every_depth() {
        let template = r#"{"messages": [{"to": ["{to}"], "text": "{sender}: {message}", "n": 1}], "{to}": null}"#;
        let template = BodyTemplate::parse(BodyFormat::Json, template).unwrap();
        let body: Value = serde_json::from_str(&template.filled(VALUES)).unwrap();
        let expected = serde_json::json!({
            "messages": [{ "to": ["+12025550123"], "text": "userpool: Your code is 1", "n": 1 }], "{to}": null
        });
        assert_eq!(body, expected);
        assert_eq!(template.content_type(), "application/json");
    }

    #[test]
    fn a_form_is_encoded() {
        let template = BodyTemplate::parse(BodyFormat::Form, "To={to}&From={sender}&Body={message}!&x=a%26b").unwrap();
        assert_eq!(template.filled(VALUES), "To=%2B12025550123&From=userpool&Body=Your+code+is+1%21&x=a%26b");
        assert_eq!(template.content_type(), "application/x-www-form-urlencoded");
    }

    #[test]
    fn a_template_has_its_format_and_the_required_placeholders() {
        let refused = |format, text| BodyTemplate::parse(format, text).unwrap_err();
        assert!(matches!(refused(BodyFormat::Json, "to={to}"), BodyError::NotJson(_)));
        assert_eq!(refused(BodyFormat::Json, r#"{"text": "{message}"}"#), BodyError::Lacks(TO));
        assert_eq!(refused(BodyFormat::Form, "to={to}"), BodyError::Lacks(MESSAGE));
        assert_eq!(refused(BodyFormat::Form, "{to}={message}"), BodyError::Lacks(TO));
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_stays_as_it_is() {
        let template = BodyTemplate::parse(BodyFormat::Form, "t={to}&m={message}").unwrap();
        assert_eq!(template.filled(BodyValues { to: "{message}", ..VALUES }), "t=%7Bmessage%7D&m=Your+code+is+1");
    }

    proptest! {
        #[test]
        fn no_value_changes_the_form(to in any::<String>(), message in any::<String>()) {
            let values = BodyValues { to: &to, message: &message, sender: "s" };
            let json = BodyTemplate::parse(BodyFormat::Json, r#"{"to": "{to}", "text": "{message}"}"#).unwrap();
            let body: Value = serde_json::from_str(&json.filled(values)).unwrap();
            prop_assert_eq!(body, serde_json::json!({ "to": to.clone(), "text": message.clone() }));
            let form = BodyTemplate::parse(BodyFormat::Form, "to={to}&text={message}").unwrap();
            let expected = vec![("to".to_owned(), to.clone()), ("text".to_owned(), message.clone())];
            prop_assert_eq!(form_fields(&form.filled(values)), expected);
        }
    }
}
