//! The checks of the constraints that the protos declare as `buf.validate` options.

use std::collections::BTreeMap;
use std::fmt::Write;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value};

use crate::{Failure, names};

/// `impl Check` for every message of the API, and the patterns that they share.
pub fn generate(pool: &DescriptorPool) -> Result<String, Failure> {
    let mut generator = Generator { pool, patterns: BTreeMap::new() };
    let mut code = String::new();
    for message in pool.all_messages() {
        if message.package_name() == "userpool.v1"
            && !message.is_map_entry()
            && !matches!(message.name(), "Operation" | "Refusal")
        {
            code.push_str(&generator.message(&message)?);
        }
    }
    for (pattern, name) in &generator.patterns {
        let _ = writeln!(code, "static {name}: Pattern = Pattern::new({:?}, {:?});", anchored(pattern), shown(pattern));
    }
    let all: Vec<_> = generator.patterns.values().map(|name| format!("&{name}")).collect();
    let _ = writeln!(code, "#[cfg(test)]\nstatic PATTERNS: &[&Pattern] = &[{}];", all.join(", "));
    Ok(code)
}

struct Generator<'a> {
    pool: &'a DescriptorPool,
    patterns: BTreeMap<String, String>,
}

impl Generator<'_> {
    fn message(&mut self, message: &MessageDescriptor) -> Result<String, Failure> {
        let mut body = String::new();
        for field in message.fields() {
            self.field(&mut body, &field).map_err(|error| format!("{}: {error}", field.full_name()))?;
        }
        let checker = if body.is_empty() { "_" } else { "checker" };
        let doubles: String = message.fields().filter_map(|field| without_doubles(&field)).collect();
        Ok(format!(
            "impl Check for {} {{\n    fn check(&self, {checker}: &mut Checker) {{\n{body}    }}\n    fn drop_doubles(&mut self) {{\n{doubles}    }}\n}}\n",
            names::message_path(message)
        ))
    }

    fn field(&mut self, body: &mut String, field: &FieldDescriptor) -> Result<(), Failure> {
        let rules = self.rules(field);
        let name = names::field_name(field);
        let shown = lower_camel(field.json_name());
        let sensitive = names::flag(field, "sensitive");
        let required = rules.as_ref().is_some_and(|rules| boolean(rules, "required"));
        let checks = match &rules {
            Some(rules) => self.value_checks(field, rules)?,
            None => String::new(),
        };
        if field.is_list() || field.is_map() {
            if required {
                let given = given(field);
                let _ = writeln!(body, "        checker.required({shown:?}, {sensitive}, {given});");
            }
            self.collection(body, field, &name, &shown, sensitive, &checks);
            return Ok(());
        }
        if required {
            let _ = writeln!(body, "        checker.required({shown:?}, {sensitive}, self.{name}.is_some());");
        }
        if let Kind::Message(inner) = field.kind() {
            if inner.package_name() == "userpool.v1" {
                let _ = writeln!(
                    body,
                    "        if let Some(value) = &self.{name} {{ checker.nested({shown:?}, |checker| value.check(checker)); }}"
                );
            }
        } else if !checks.is_empty() || field.kind() == Kind::String {
            // A text without rules is still checked for characters that no text may contain.
            let call = if names::flag(field, "loopback_in_development") { "function" } else { "field" };
            let _ = writeln!(
                body,
                "        if let Some(value) = &self.{name} {{ checker.{call}({shown:?}, {sensitive}, value, &[{checks}]); }}"
            );
        }
        Ok(())
    }

    fn collection(
        &self,
        body: &mut String,
        field: &FieldDescriptor,
        name: &str,
        shown: &str,
        sensitive: bool,
        checks: &str,
    ) {
        if !checks.is_empty() || field.is_map() || field.kind() == Kind::String {
            let (call, none) = if field.is_map() { ("map", "&[], &[], &[]") } else { ("list", "&[], &[]") };
            let checks = if checks.is_empty() { none } else { checks };
            let hidden = if field.is_map() { String::new() } else { format!("{sensitive}, ") };
            let _ = writeln!(body, "        checker.{call}({shown:?}, {hidden}&self.{name}, {checks});");
        }
        let Kind::Message(inner) = field.kind() else { return };
        let value = if field.is_map() { inner.map_entry_value_field().kind() } else { Kind::Message(inner) };
        if value.as_message().is_none_or(|value| value.package_name() != "userpool.v1") {
            return;
        }
        let _ = if field.is_map() {
            writeln!(
                body,
                "        for (key, value) in &self.{name} {{ checker.value({shown:?}, key, |checker| value.check(checker)); }}"
            )
        } else {
            writeln!(
                body,
                "        for (index, value) in self.{name}.iter().enumerate() {{ checker.member({shown:?}, index, |checker| value.check(checker)); }}"
            )
        };
    }

    fn rules(&self, field: &FieldDescriptor) -> Option<DynamicMessage> {
        let extension = self.pool.get_extension_by_name("buf.validate.field")?;
        let options = field.options();
        options.has_extension(&extension).then(|| options.get_extension(&extension).as_message().cloned())?
    }

    /// The rules of one field as a list of Rust expressions.
    fn value_checks(&mut self, field: &FieldDescriptor, rules: &DynamicMessage) -> Result<String, Failure> {
        for (part, _) in rules.fields() {
            if !["required", "string", "int32", "int64", "bytes", "repeated", "map"].contains(&part.name()) {
                return Err(format!("the rule {} is not supported", part.name()).into());
            }
        }
        if let Some(repeated) = part(rules, "repeated") {
            let size = self.size(&repeated, "min_items", "max_items", &["items"])?;
            let items = self.scalar_rules(part(&repeated, "items").as_ref())?;
            return Ok(format!("&[{size}], &[{items}]"));
        }
        if let Some(map) = part(rules, "map") {
            let size = self.size(&map, "min_pairs", "max_pairs", &["keys", "values"])?;
            let keys = self.scalar_rules(part(&map, "keys").as_ref())?;
            let values = self.scalar_rules(part(&map, "values").as_ref())?;
            return Ok(format!("&[{size}], &[{keys}], &[{values}]"));
        }
        let scalar = self.scalar_rules(Some(rules))?;
        if field.is_list() || field.is_map() {
            return if scalar.is_empty() { Ok(scalar) } else { Err("rules of a scalar on a list".into()) };
        }
        Ok(scalar)
    }

    fn size(&self, rules: &DynamicMessage, min: &str, max: &str, others: &[&str]) -> Result<String, Failure> {
        let mut code = String::new();
        for (rule, value) in rules.fields() {
            let name = rule.name();
            if name == min {
                let _ = write!(code, "Rule::MinSize({}), ", number(value)?);
            } else if name == max {
                let _ = write!(code, "Rule::MaxSize({}), ", number(value)?);
            } else if !others.contains(&name) {
                return Err(format!("the rule {name} is not supported").into());
            }
        }
        Ok(code)
    }

    fn scalar_rules(&mut self, rules: Option<&DynamicMessage>) -> Result<String, Failure> {
        let mut code = String::new();
        let Some(rules) = rules else { return Ok(code) };
        for kind in ["string", "bytes", "int32", "int64"] {
            let Some(rules) = part(rules, kind) else { continue };
            for (rule, value) in rules.fields() {
                let text = match (kind, rule.name()) {
                    ("string" | "bytes", "min_len") => format!("Rule::MinSize({})", number(value)?),
                    ("string" | "bytes", "max_len") => format!("Rule::MaxSize({})", number(value)?),
                    ("string", "pattern") => format!("Rule::Pattern(&{})", self.pattern(value)?),
                    ("string", "in") => format!("Rule::In(&{:?})", strings(value)?),
                    ("int32" | "int64", "gte") => format!("Rule::Min({})", number(value)?),
                    ("int32" | "int64", "lte") => format!("Rule::Max({})", number(value)?),
                    (_, name) => return Err(format!("the rule {kind}.{name} is not supported").into()),
                };
                let _ = write!(code, "{text}, ");
            }
        }
        Ok(code)
    }

    fn pattern(&mut self, value: &Value) -> Result<String, Failure> {
        let pattern = value.as_str().ok_or("a pattern that is not a string")?;
        let next = format!("PATTERN_{}", self.patterns.len());
        Ok(self.patterns.entry(pattern.to_owned()).or_insert(next).clone())
    }
}

/// The code that removes duplicates from a field that is, or contains, a list of texts. Every such list of the API is a
/// set.
fn without_doubles(field: &FieldDescriptor) -> Option<String> {
    let name = names::field_name(field);
    let inner = match field.kind() {
        Kind::String if field.is_list() => return Some(format!("        once_each(&mut self.{name});\n")),
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    };
    if inner.as_message().is_none_or(|inner| inner.package_name() != "userpool.v1") {
        return None;
    }
    Some(match (field.is_map(), field.is_list()) {
        (true, _) => format!("        for value in self.{name}.values_mut() {{ value.drop_doubles(); }}\n"),
        (_, true) => format!("        for value in &mut self.{name} {{ value.drop_doubles(); }}\n"),
        _ => format!("        if let Some(value) = &mut self.{name} {{ value.drop_doubles(); }}\n"),
    })
}

fn part(message: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let field = message.descriptor().get_field_by_name(name)?;
    message.has_field(&field).then(|| message.get_field(&field).as_message().cloned())?
}

fn boolean(message: &DynamicMessage, name: &str) -> bool {
    message.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or(false)
}

fn number(value: &Value) -> Result<i64, Failure> {
    match value {
        Value::U64(number) => Ok(i64::try_from(*number)?),
        Value::I64(number) => Ok(*number),
        Value::I32(number) => Ok(i64::from(*number)),
        Value::U32(number) => Ok(i64::from(*number)),
        _ => Err("a bound that is not an integer".into()),
    }
}

fn strings(value: &Value) -> Result<Vec<String>, Failure> {
    let list = value.as_list().ok_or("`in` is not a list")?;
    Ok(list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
}

/// The form in which Cognito writes a field's path: `UserPoolId` → `userPoolId`.
fn lower_camel(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map(|first| first.to_lowercase().collect::<String>() + characters.as_str()).unwrap_or_default()
}

/// The pattern as Cognito shows it: without the anchors that the proto adds.
fn shown(pattern: &str) -> &str {
    pattern.strip_prefix(r"\A").and_then(|rest| rest.strip_suffix(r"\z")).unwrap_or(pattern)
}

/// The pattern for the regex crate: anchored, `\w \d \s \b` ASCII, the rest Unicode.
fn anchored(pattern: &str) -> String {
    let mut ascii = String::new();
    let mut characters = shown(pattern).chars();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        if character != '\\' {
            // Inside a class of the pattern's dialect `[`, `&`, `~` and `-` between classes are plain characters.
            let plain = in_class && matches!(character, '[' | '&' | '~');
            in_class = match character {
                '[' => true,
                ']' => false,
                _ => in_class,
            };
            if plain {
                ascii.push('\\');
            }
            ascii.push(character);
            continue;
        }
        let Some(escaped) = characters.next() else { break };
        match (escaped, in_class) {
            ('w', true) => ascii.push_str("0-9A-Za-z_"),
            ('w', false) => ascii.push_str("[0-9A-Za-z_]"),
            ('d', true) => ascii.push_str("0-9"),
            ('d', false) => ascii.push_str("[0-9]"),
            ('s', true) => ascii.push_str(r" \t\n\r\x0B\x0C"),
            ('s', false) => ascii.push_str(r"[ \t\n\r\x0B\x0C]"),
            ('b', false) => ascii.push_str(r"(?-u:\b)"),
            _ => ascii.extend(['\\', escaped]),
        }
    }
    format!(r"\A(?:{ascii})\z")
}

/// The expression that says whether a list or a map is given. One that may be empty on purpose is given as well where the
/// field that names the empty ones names it.
fn given(field: &FieldDescriptor) -> String {
    let name = names::field_name(field);
    let naming = field.parent_message().fields().find(|field| names::flag(field, "names_empty"));
    match naming.filter(|_| names::flag(field, "empty_differs")) {
        Some(naming) => {
            let naming = names::field_name(&naming);
            format!("!self.{name}.is_empty() || self.{naming}.iter().any(|empty| empty == {:?})", field.name())
        }
        None => format!("!self.{name}.is_empty()"),
    }
}
