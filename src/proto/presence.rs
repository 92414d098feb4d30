//! What a message can't say of itself: that a list or map was given, and empty.

use std::collections::BTreeSet;

include!(concat!(env!("OUT_DIR"), "/presence.rs"));

/// The lists and maps that a request gave and left empty, of those for which that is another choice than none
/// (`empty_differs` in the protos). Only a door that can tell has any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenEmpty(BTreeSet<EmptyField>);

impl GivenEmpty {
    /// Whether a field was given and empty.
    pub fn has(&self, field: EmptyField) -> bool {
        self.0.contains(&field)
    }

    /// Their names, none of which is a text that a message's bytes could go on with.
    pub fn names(&self) -> Vec<u8> {
        self.0.iter().flat_map(|field| format!("\0{field:?}").into_bytes()).collect()
    }
}

impl FromIterator<EmptyField> for GivenEmpty {
    fn from_iter<Fields: IntoIterator<Item = EmptyField>>(fields: Fields) -> Self {
        Self(fields.into_iter().collect())
    }
}
