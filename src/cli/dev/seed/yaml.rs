//! From text to a tree in which everything has its place. YAML's core schema, which includes JSON; no tags.

use std::collections::{BTreeMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use crate::cli::dev::seed::document::{Position, Problem};

/// Most levels of lists and mappings inside each other: twice what a seed needs.
pub const DEEPEST: usize = 24;
/// Most nodes that aliases may add: each alias stands for everything in its anchor.
const MOST_ALIASED: usize = 100_000;

/// A value in a document, with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The place at which the value begins.
    pub begins: Marker,
    /// The value with its type.
    pub value: Value,
}

/// A value in a document, by type.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~`, or no value at all.
    Null,
    /// `true` or `false`, without quotes.
    Bool(bool),
    /// An integer of 64 bits.
    Integer(i64),
    /// Any other number; its value is not needed.
    Number,
    /// A text, with or without quotes.
    Text(String),
    /// The entries of a list, in their order.
    List(Vec<Node>),
    /// Names with values, in their order.
    Mapping(Vec<(Node, Node)>),
}

impl Node {
    /// The text of the node, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a member, if the node is a mapping that has it.
    pub fn member(&self, name: &str) -> Option<&Self> {
        let Value::Mapping(members) = &self.value else { return None };
        members.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }

    /// The number of nodes in it, itself included.
    fn size(&self) -> usize {
        1 + match &self.value {
            Value::List(entries) => entries.iter().map(Self::size).sum(),
            Value::Mapping(members) => members.iter().map(|(key, value)| key.size() + value.size()).sum(),
            _ => 0,
        }
    }
}

/// Parses a text: one document, in which no mapping has a member twice.
pub fn load(text: &str) -> Result<Node, Problem> {
    let mut loader = Loader { open: Vec::new(), anchors: BTreeMap::new(), aliased: 0, documents: Vec::new() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| unreadable(&error))?;
        loader.take(event, span.start)?;
    }
    let mut documents = loader.documents;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        (Some(second), false) => Err(problem(second.begins, "A seed is one document.")),
        (None, _) => Err(problem(Marker::new(0, 1, 0), "The file is empty.")),
    }
}

fn unreadable(error: &ScanError) -> Problem {
    problem(*error.marker(), format!("The file is neither YAML nor JSON: {}.", error.info()))
}

fn problem(at: Marker, message: impl Into<String>) -> Problem {
    Position::at(at, "").problem(message)
}

/// A list or mapping whose end was not read yet.
struct Open {
    begins: Marker,
    anchor: usize,
    /// The name whose value comes next.
    key: Option<Node>,
    /// The names so far.
    names: HashSet<String>,
    value: Value,
}

struct Loader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    aliased: usize,
    documents: Vec<Node>,
}

impl Loader {
    fn take(&mut self, event: Event<'_>, begins: Marker) -> Result<(), Problem> {
        match event {
            Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) | Event::Scalar(_, _, _, Some(_)) => {
                Err(problem(begins, "Tags have no meaning in a seed."))
            }
            Event::SequenceStart(anchor, None) => self.begin(begins, anchor, Value::List(Vec::new())),
            Event::MappingStart(anchor, None) => self.begin(begins, anchor, Value::Mapping(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { begins, anchor, value, .. }) => self.add(Node { begins, value }, anchor),
                None => Ok(()),
            },
            Event::Scalar(text, style, anchor, None) => {
                let value = if style == ScalarStyle::Plain { plain(&text) } else { Value::Text(text.into_owned()) };
                self.add(Node { begins, value }, anchor)
            }
            Event::Alias(anchor) => {
                let named =
                    self.anchors.get(&anchor).ok_or_else(|| problem(begins, "An alias inside its own anchor."))?;
                self.aliased += named.size();
                if self.aliased > MOST_ALIASED {
                    return Err(problem(begins, "The aliases of the file stand for too much."));
                }
                let value = named.value.clone();
                self.add(Node { begins, value }, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, begins: Marker, anchor: usize, value: Value) -> Result<(), Problem> {
        if self.open.len() == DEEPEST {
            return Err(problem(begins, format!("More than {DEEPEST} lists and mappings in each other.")));
        }
        self.open.push(Open { begins, anchor, key: None, names: HashSet::new(), value });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        // Anchors are numbered from 1.
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match (&mut open.value, open.key.take()) {
            (Value::Mapping(members), Some(key)) => {
                if key.text().is_some_and(|name| !open.names.insert(name.to_owned())) {
                    return Err(problem(key.begins, "The member stands twice."));
                }
                members.push((key, node));
            }
            (Value::List(entries), _) => entries.push(node),
            (_, None) => open.key = Some(node),
            // Only lists and mappings are ever open.
            (_, Some(_)) => {}
        }
        Ok(())
    }
}

/// A text without quotes, by the core schema.
fn plain(text: &str) -> Value {
    let radix = |digits: &str, radix| i64::from_str_radix(digits, radix).map_or(Value::Number, Value::Integer);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let of = |prefix: &str, digits: fn(char) -> bool| {
        text.strip_prefix(prefix).filter(|rest| !rest.is_empty() && rest.chars().all(digits))
    };
    if let Some(digits) = of("0x", |it| it.is_ascii_hexdigit()) {
        return radix(digits, 16);
    }
    if let Some(digits) = of("0o", |it| it.is_digit(8)) {
        return radix(digits, 8);
    }
    if let Ok(number) = text.parse() {
        return Value::Integer(number);
    }
    let unsigned = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    let is_word = matches!(unsigned.as_str(), ".inf" | ".nan");
    let is_number = text.chars().all(|it| it.is_ascii_digit() || "+-.eE".contains(it)) && text.parse::<f64>().is_ok();
    if is_word || is_number { Value::Number } else { Value::Text(text.to_owned()) }
}
