//! The constraints that the protos declare, checked with Cognito's own sentences.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::Regex;

use crate::domain::error::{Error, FieldViolation};

include!(concat!(env!("OUT_DIR"), "/checks.rs"));

/// A message whose declared constraints can be checked.
pub trait Check {
    /// Adds a violation for each constraint that does not hold.
    fn check(&self, checker: &mut Checker);
}

/// Checks a message: all violations in one error, as Cognito joins them.
pub fn check(message: &impl Check) -> Result<(), Error> {
    let mut checker = Checker::default();
    message.check(&mut checker);
    let violations = checker.violations;
    if violations.is_empty() {
        return Ok(());
    }
    let sentences: Vec<_> = violations.iter().map(|violation| violation.description.as_str()).collect();
    let (count, plural) = (violations.len(), if violations.len() == 1 { "" } else { "s" });
    let message = format!("{count} validation error{plural} detected: {}", sentences.join("; "));
    Err(Error { fields: violations, ..Error::invalid_parameter(message) })
}

/// A declared constraint.
pub enum Rule {
    /// At least so many characters, bytes, items or pairs.
    MinSize(i64),
    /// At most so many.
    MaxSize(i64),
    /// A number of at least so much.
    Min(i64),
    /// A number of at most so much.
    Max(i64),
    /// A text of this form.
    Pattern(&'static Pattern),
    /// One of these.
    In(&'static [&'static str]),
}

/// A pattern: compiled when it is first needed, shown as Cognito shows it.
pub struct Pattern {
    regex: &'static str,
    shown: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    const fn new(regex: &'static str, shown: &'static str) -> Self {
        Self { regex, shown, compiled: OnceLock::new() }
    }

    /// Whether the whole text has the form. A pattern that does not compile matches nothing; a test compiles them all.
    fn matches(&self, text: &str) -> bool {
        let compiled = self.compiled.get_or_init(|| Regex::new(self.regex).ok());
        compiled.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// A value that rules apply to.
pub trait Value {
    /// Its size in characters, bytes, items or pairs; a number has none.
    fn size(&self) -> Option<i64> {
        None
    }
    /// Its text.
    fn text(&self) -> Option<&str> {
        None
    }
    /// Its number.
    fn number(&self) -> Option<i64> {
        None
    }
}

impl Value for String {
    fn size(&self) -> Option<i64> {
        i64::try_from(self.chars().count()).ok()
    }
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl Value for Vec<u8> {
    fn size(&self) -> Option<i64> {
        i64::try_from(self.len()).ok()
    }
}

impl Value for i32 {
    fn number(&self) -> Option<i64> {
        Some(i64::from(*self))
    }
}

struct Size(usize);

impl Value for Size {
    fn size(&self) -> Option<i64> {
        i64::try_from(self.0).ok()
    }
}

impl Rule {
    /// Cognito's sentence about the rule if the value breaks it.
    fn broken_by(&self, value: &impl Value) -> Option<String> {
        let sentence = match self {
            Self::MinSize(min) if value.size()? < *min => {
                format!("Member must have length greater than or equal to {min}")
            }
            Self::MaxSize(max) if value.size()? > *max => {
                format!("Member must have length less than or equal to {max}")
            }
            Self::Min(min) if value.number()? < *min => {
                format!("Member must have value greater than or equal to {min}")
            }
            Self::Max(max) if value.number()? > *max => format!("Member must have value less than or equal to {max}"),
            Self::Pattern(pattern) if !pattern.matches(value.text()?) => {
                format!("Member must satisfy regular expression pattern: {}", pattern.shown)
            }
            Self::In(values) if !values.contains(&value.text()?) => {
                format!("Member must satisfy enum value set: [{}]", values.join(", "))
            }
            _ => return None,
        };
        Some(sentence)
    }
}

/// Collects violations while a message is walked.
#[derive(Default)]
pub struct Checker {
    path: String,
    violations: Vec<FieldViolation>,
}

/// Values are shown in a sentence up to this length.
const LONGEST_SHOWN: usize = 128;

impl Checker {
    fn violation(&mut self, name: &str, shown: Option<&str>, sentence: &str) {
        let field = format!("{}{name}", self.path);
        let value = shown.map(|value| format!(" '{value}'")).unwrap_or_default();
        let description = format!("Value{value} at '{field}' failed to satisfy constraint: {sentence}");
        self.violations.push(FieldViolation { field, description });
    }

    fn required(&mut self, name: &str, present: bool) {
        if !present {
            self.violation(name, None, "Member must not be null");
        }
    }

    fn field(&mut self, name: &str, sensitive: bool, value: &impl Value, rules: &[Rule]) {
        for sentence in rules.iter().filter_map(|rule| rule.broken_by(value)) {
            let number = value.number().map(|number| number.to_string());
            let shown = value.text().or(number.as_deref()).filter(|text| !sensitive && text.len() <= LONGEST_SHOWN);
            self.violation(name, shown, &sentence);
        }
    }

    fn list<T: Value>(&mut self, name: &str, list: &[T], size: &[Rule], items: &[Rule]) {
        // An empty list is one that is not there: whether it must be is another rule.
        let sizes = size.iter().filter(|_| !list.is_empty()).filter_map(|rule| rule.broken_by(&Size(list.len())));
        for sentence in sizes.collect::<Vec<_>>() {
            self.violation(name, None, &sentence);
        }
        self.elements(name, "Member must satisfy constraint", list.iter(), items);
    }

    fn map<T: Value>(&mut self, name: &str, map: &BTreeMap<String, T>, size: &[Rule], keys: &[Rule], values: &[Rule]) {
        for sentence in size.iter().filter_map(|rule| rule.broken_by(&Size(map.len()))).collect::<Vec<_>>() {
            self.violation(name, None, &sentence);
        }
        self.elements(name, "Map keys must satisfy constraint", map.keys(), keys);
        self.elements(name, "Map value must satisfy constraint", map.values(), values);
    }

    fn elements<'a, T: Value + 'a>(
        &mut self,
        name: &str,
        what: &str,
        elements: impl Iterator<Item = &'a T>,
        rules: &[Rule],
    ) {
        let broken = elements.flat_map(|element| rules.iter().filter_map(move |rule| rule.broken_by(element))).next();
        if let Some(sentence) = broken {
            self.violation(name, None, &format!("{what}: [{sentence}]"));
        }
    }

    fn nested(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(name);
        self.path.push('.');
        check(self);
        self.path.truncate(length);
    }

    fn member(&mut self, name: &str, index: usize, check: impl FnOnce(&mut Self)) {
        self.nested(&format!("{name}.{}.member", index + 1), check);
    }
}

/// A message has no size of its own: rules about it are its fields'.
impl<T: Check> Value for T {}
