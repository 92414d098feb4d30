//! The published JSON Schema of seeds: made from the shapes that the reader accepts and from the constraints in the
//! protos. `UPDATE_DOCUMENTS=1` rewrites it.

use std::collections::BTreeMap;
use std::path::Path;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value as Given};
use serde_json::{Map, Value, json};
use userpool::cli::dev::seed::shape::{Content, FILE, Shape};
use userpool::proto::descriptor_pool;

use super::documents::comment;

const PAGE: &str = "docs/seed.schema.json";

/// Collects the definitions of all messages that seeds contain.
#[derive(Default)]
struct Schema {
    definitions: BTreeMap<String, Value>,
}

impl Schema {
    fn shape(&mut self, shape: &Shape) -> Value {
        let mut properties = Map::new();
        let mut required: Vec<_> = shape.own.iter().filter(|own| own.required).map(|own| own.name.to_owned()).collect();
        for field in shape.fields() {
            required.extend(is_required(&field).then(|| field.json_name().to_owned()));
            properties.insert(field.json_name().to_owned(), self.field(&field));
        }
        for own in shape.own {
            let mut property = match own.content {
                Content::Text { pattern, .. } => json!({ "type": "string", "pattern": pattern.as_str() }),
                Content::Texts => json!({ "type": "array", "items": { "type": "string" } }),
                Content::Items(shape) => json!({ "type": "array", "items": self.shape(shape) }),
            };
            property["description"] = own.what.into();
            properties.insert(own.name.to_owned(), property);
        }
        object(shape.what, properties, required)
    }

    fn message(&mut self, message: &MessageDescriptor) -> Value {
        let name = message.name().to_owned();
        if !self.definitions.contains_key(&name) {
            let (mut properties, mut required) = (Map::new(), Vec::new());
            for field in message.fields() {
                required.extend(is_required(&field).then(|| field.json_name().to_owned()));
                properties.insert(field.json_name().to_owned(), self.field(&field));
            }
            let what = comment(&message.parent_file(), message.path());
            self.definitions.insert(name.clone(), object(&what, properties, required));
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let rules = rules(field);
        let part = |name: &str| rules.as_ref().and_then(|rules| part(rules, name));
        let mut schema = if field.is_map() {
            let map = part("map");
            let kind = field.kind().as_message().expect("a map has entries").map_entry_value_field().kind();
            let rules_of = |name: &str| map.as_ref().and_then(|map| self::part(map, name));
            let values = self.value(&kind, rules_of("values").as_ref());
            let names = self.value(&Kind::String, rules_of("keys").as_ref());
            let mut schema = json!({ "type": "object", "additionalProperties": values, "propertyNames": names });
            bounds(&mut schema, map.as_ref(), &[("min_pairs", "minProperties"), ("max_pairs", "maxProperties")]);
            schema
        } else if field.is_list() {
            let list = part("repeated");
            let items = list.as_ref().and_then(|list| self::part(list, "items"));
            let mut schema = json!({ "type": "array", "items": self.value(&field.kind(), items.as_ref()) });
            // An empty list counts as absent.
            bounds(&mut schema, list.as_ref(), &[("max_items", "maxItems")]);
            schema
        } else {
            self.value(&field.kind(), rules.as_ref())
        };
        if may_be_loopback(field) {
            schema = json!({ "anyOf": [schema, { "type": "string", "pattern": LOOPBACK }] });
        }
        schema["description"] = comment(&field.parent_file(), field.path()).into();
        schema
    }

    /// One value, with the constraints of its kind.
    fn value(&mut self, kind: &Kind, rules: Option<&DynamicMessage>) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::Int32 | Kind::Int64 => {
                let mut schema = json!({ "type": "integer" });
                for kind in ["int32", "int64"] {
                    let rules = rules.and_then(|rules| part(rules, kind));
                    bounds(&mut schema, rules.as_ref(), &[("gte", "minimum"), ("lte", "maximum")]);
                }
                schema
            }
            Kind::String => {
                let mut schema = json!({ "type": "string" });
                let Some(rules) = rules.and_then(|rules| part(rules, "string")) else { return schema };
                bounds(&mut schema, Some(&rules), &[("min_len", "minLength"), ("max_len", "maxLength")]);
                for (rule, value) in rules.fields() {
                    match (rule.name(), value) {
                        ("pattern", Given::String(text)) if is_portable(text) => {
                            schema["pattern"] = anchored(text).into();
                        }
                        ("in", Given::List(values)) => {
                            schema["enum"] = values.iter().filter_map(Given::as_str).collect()
                        }
                        _ => {}
                    }
                }
                schema
            }
            Kind::Message(message) => self.message(message),
            other => panic!("no member of a seed is of the kind {other:?}"),
        }
    }
}

/// Endpoints of this machine, which a seed may name as functions.
const LOOPBACK: &str = r"^https?://(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?(?:[/?].*)?$";

fn may_be_loopback(field: &FieldDescriptor) -> bool {
    let option =
        descriptor_pool().get_extension_by_name("userpool.v1.loopback_in_development").expect("it is declared");
    field.options().get_extension(&option).as_bool().unwrap_or_default()
}

fn object(what: &str, properties: Map<String, Value>, required: Vec<String>) -> Value {
    let mut schema = json!({
        "type": "object", "description": what, "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

/// Whether validators in all languages know the pattern. Other patterns are checked by the reader alone.
fn is_portable(pattern: &str) -> bool {
    !pattern.contains(r"\p{") && !pattern.contains("(?s)")
}

/// The pattern in JSON Schema's dialect, anchored at both ends.
fn anchored(pattern: &str) -> String {
    let bare = pattern.strip_prefix(r"\A").and_then(|rest| rest.strip_suffix(r"\z")).unwrap_or(pattern);
    format!("^(?:{bare})$")
}

fn bounds(schema: &mut Value, rules: Option<&DynamicMessage>, names: &[(&str, &str)]) {
    for (rule, value) in rules.into_iter().flat_map(DynamicMessage::fields) {
        if let Some((_, name)) = names.iter().find(|(name, _)| *name == rule.name()) {
            schema[*name] = match value {
                Given::U64(number) => json!(number),
                Given::I32(number) => json!(number),
                Given::I64(number) => json!(number),
                other => panic!("a bound that is {other:?}"),
            };
        }
    }
}

fn rules(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let extension = descriptor_pool().get_extension_by_name("buf.validate.field")?;
    let options = field.options();
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_message().cloned())?
}

fn part(message: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    use prost_reflect::ReflectMessage;
    let field = message.descriptor().get_field_by_name(name)?;
    message.has_field(&field).then(|| message.get_field(&field).as_message().cloned())?
}

fn is_required(field: &FieldDescriptor) -> bool {
    let rules = rules(field);
    let required = rules.as_ref().and_then(|rules| rules.get_field_by_name("required"));
    required.and_then(|required| required.as_bool()).unwrap_or(false)
}

fn schema() -> Value {
    let mut schema = Schema::default();
    let mut file = schema.shape(&FILE);
    file["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    file["title"] = "A seed of userpool dev".into();
    file["$defs"] = schema.definitions.into_iter().collect();
    file
}

#[test]
fn the_schema_of_seeds_is_what_the_reader_follows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let expected = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, &expected).expect("the page is written");
    }
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(current == expected, "run the tests with UPDATE_DOCUMENTS=1 to write {PAGE} anew");
}
