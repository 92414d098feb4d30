//! From a document to JSON for the doors' own decoder. Stricter than a door: an unknown member is a mistake in the
//! file, so it is reported.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json};

use crate::cli::dev::seed::document::{Position, Problem};
use crate::cli::dev::seed::shape::{Content, Member, Shape};
use crate::cli::dev::seed::yaml::{Node, Value};

/// A mapping that was walked by its shape.
pub struct Item<'a> {
    /// The place at which the mapping begins.
    pub place: Position,
    /// The mapping as it was read.
    pub node: &'a Node,
    /// The members of the mapping, except lists of items.
    pub members: Map<String, Json>,
    /// The lists of items, by name.
    pub lists: Vec<(&'static str, Vec<Item<'a>>)>,
}

impl<'a> Item<'a> {
    /// The text of a member; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.members.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// The place of a member, or of the item if it has no such member.
    pub fn place_of(&self, name: &str) -> Position {
        self.node.member(name).map_or_else(
            || self.place.clone(),
            |member| Position::at(member.begins, format!("{}.{name}", self.place.path)),
        )
    }

    /// The items of a list; empty if there is no such list.
    pub fn list(&self, name: &str) -> &[Item<'a>] {
        self.lists.iter().find(|(known, _)| *known == name).map_or(&[], |(_, items)| items)
    }
}

/// Walks a document and collects all problems with its form.
#[derive(Default)]
pub struct Walk {
    /// The problems so far, in the order in which they were found.
    pub problems: Vec<Problem>,
}

impl Walk {
    /// Walks a mapping by its shape.
    pub fn item<'a>(&mut self, node: &'a Node, shape: &'static Shape, path: &str) -> Item<'a> {
        let place = Position::at(node.begins, path);
        let mut item = Item { place, node, members: Map::new(), lists: Vec::new() };
        for (name, key, value) in self.members(node, path) {
            let path = join(path, name);
            match shape.member(name) {
                Some(Member::Field(field)) => {
                    let value = self.field(&field, value, &path);
                    item.members.insert(name.to_owned(), value);
                }
                Some(Member::Own(own)) => match own.content {
                    Content::Items(shape) => {
                        let nodes = self.list(value, &path).into_iter();
                        let items = nodes.map(|(path, node)| self.item(node, shape, &path)).collect();
                        item.lists.push((own.name, items));
                    }
                    Content::Texts => {
                        let texts = self.list(value, &path).into_iter();
                        let texts = texts.map(|(path, node)| self.scalar(&Kind::String, node, &path)).collect();
                        item.members.insert(name.to_owned(), texts);
                    }
                    Content::Text { pattern, form } => {
                        let text = self.scalar(&Kind::String, value, &path);
                        if text.as_str().is_some_and(|text| !pattern.is_match(text)) {
                            self.problem(value, &path, format!("must be {form}."));
                        }
                        item.members.insert(name.to_owned(), text);
                    }
                },
                None => self.unknown(key, &path, shape),
            }
        }
        if matches!(node.value, Value::Mapping(_)) {
            for own in shape.own.iter().filter(|own| own.required && node.member(own.name).is_none()) {
                self.problem(node, path, format!("needs a member {}.", own.name));
            }
        }
        item
    }

    fn problem(&mut self, node: &Node, path: &str, message: impl Into<String>) {
        self.problems.push(Position::at(node.begins, path).problem(message));
    }

    fn unknown(&mut self, key: &Node, path: &str, shape: &Shape) {
        let names = shape.own.iter().map(|own| own.name.to_owned());
        let mut names: Vec<_> = names.chain(shape.fields().map(|field| field.json_name().to_owned())).collect();
        names.sort();
        self.problem(key, path, format!("There is no such member here; there are: {}.", names.join(", ")));
    }

    /// The members of a mapping, each with its name and key.
    fn members<'a>(&mut self, node: &'a Node, path: &str) -> Vec<(&'a str, &'a Node, &'a Node)> {
        let Value::Mapping(members) = &node.value else {
            self.problem(node, path, "must be a mapping.");
            return Vec::new();
        };
        let mut named = Vec::with_capacity(members.len());
        for (key, value) in members {
            match key.text() {
                Some(name) => named.push((name, key, value)),
                None => self.problem(key, path, "The name of a member must be a string: put it in quotes."),
            }
        }
        named
    }

    /// The entries of a list, each with its path.
    fn list<'a>(&mut self, node: &'a Node, path: &str) -> Vec<(String, &'a Node)> {
        let Value::List(entries) = &node.value else {
            self.problem(node, path, "must be a list.");
            return Vec::new();
        };
        entries.iter().enumerate().map(|(index, entry)| (format!("{path}[{index}]"), entry)).collect()
    }

    fn message(&mut self, descriptor: &MessageDescriptor, node: &Node, path: &str) -> Json {
        let mut json = Map::new();
        for (name, key, value) in self.members(node, path) {
            let path = join(path, name);
            match descriptor.get_field_by_json_name(name) {
                Some(field) => drop(json.insert(name.to_owned(), self.field(&field, value, &path))),
                None => {
                    let names: Vec<_> = descriptor.fields().map(|field| field.json_name().to_owned()).collect();
                    let message = format!("There is no such member here; there are: {}.", names.join(", "));
                    self.problem(key, &path, message);
                }
            }
        }
        Json::Object(json)
    }

    fn field(&mut self, field: &FieldDescriptor, node: &Node, path: &str) -> Json {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let kind = entry.map_entry_value_field().kind();
                let members = self.members(node, path).into_iter();
                members
                    .map(|(name, _, value)| (name.to_owned(), self.scalar(&kind, value, &join(path, name))))
                    .collect()
            }
            kind if field.is_list() => {
                let entries = self.list(node, path).into_iter();
                entries.map(|(path, entry)| self.scalar(&kind, entry, &path)).collect()
            }
            kind => self.scalar(&kind, node, path),
        }
    }

    /// One value. The decoder checks forms beyond JSON's own types, such as base64.
    fn scalar(&mut self, kind: &Kind, node: &Node, path: &str) -> Json {
        if let Kind::Message(descriptor) = kind {
            return self.message(descriptor, node, path);
        }
        let expected = match (kind, &node.value) {
            (Kind::String | Kind::Bytes, Value::Text(text)) => return Json::from(text.as_str()),
            (Kind::Bool, Value::Bool(value)) => return Json::from(*value),
            (Kind::Int64, Value::Integer(number)) => return Json::from(*number),
            (Kind::Int32, Value::Integer(number)) if i32::try_from(*number).is_ok() => return Json::from(*number),
            (_, Value::Null) => "given a value",
            // A number or boolean in place of a text usually lacks its quotes.
            (Kind::String | Kind::Bytes, Value::Bool(_) | Value::Integer(_) | Value::Number) => {
                "a string: put it in quotes"
            }
            (Kind::String | Kind::Bytes, _) => "a string",
            (Kind::Bool, _) => "true or false",
            _ => "an integer",
        };
        self.problem(node, path, format!("must be {expected}."));
        Json::Null
    }
}

/// The path of a member.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
