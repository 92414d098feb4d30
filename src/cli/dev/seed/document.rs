//! The text of a seed: YAML, which includes JSON, with the place of everything in it.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use saphyr_parser::Marker;

/// Largest file in bytes; larger ones are refused unread. Thousands of users fit.
pub const LARGEST_FILE: u64 = 4 * 1024 * 1024;
/// A problem in a seed, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place of the member or the text at fault.
    pub place: Position,
    /// The sentence about the problem. It never contains the value of a secret.
    pub message: String,
}

/// A place in a seed: in the text, and in the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The path of members, such as `UserPools[0].Users[2].Password`. Empty for the file itself.
    pub path: String,
}

impl Position {
    /// The place at which something begins.
    pub fn at(marker: Marker, path: impl Into<String>) -> Self {
        Self { line: marker.line(), column: marker.col() + 1, path: path.into() }
    }

    /// A problem at this place.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { place: self.clone(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column, path } = &self.place;
        write!(f, "{line}:{column}: ")?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// The text of a file; YAML and JSON must be UTF-8 here.
pub fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = before.split('\n').count();
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Position { line, column, path: String::new() }.problem("The file is not text in UTF-8.")
    })
}

/// A text whose JSON escapes are valid in YAML: JSON writes characters beyond U+FFFF as a pair of escapes.
pub fn with_whole_escapes(text: &str) -> Cow<'_, str> {
    #[expect(clippy::expect_used, reason = "a test has the pattern compiled")]
    static PAIR: LazyLock<Regex> = LazyLock::new(|| {
        // An escaped backslash does not begin another escape.
        Regex::new(r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
            .expect("a pattern that compiles")
    });
    if !text.trim_start().starts_with('{') {
        return Cow::Borrowed(text);
    }
    PAIR.replace_all(text, |found: &Captures<'_>| {
        let half = |at| found.get(at).and_then(|half| u16::from_str_radix(half.as_str(), 16).ok());
        let (Some(high), Some(low)) = (half(1), half(2)) else { return found[0].to_owned() };
        char::decode_utf16([high, low]).filter_map(Result::ok).map(|it| format!("\\U{:08X}", u32::from(it))).collect()
    })
}
