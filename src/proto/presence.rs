//! What a list or map without entries can't say of itself: that it was given, and empty.
//!
//! Where that is another choice than none (`empty_differs` in the protos) the message has a field that names such lists
//! (`names_empty`). Over gRPC callers write and read that field; the AWS JSON door does it for them.

include!(concat!(env!("OUT_DIR"), "/presence.rs"));

impl EmptyField {
    /// Whether a message's field `given_empty` names it.
    pub fn is_in(self, given_empty: &[String]) -> bool {
        given_empty.iter().any(|name| name == self.name())
    }

    /// A field `given_empty` that names those of the given ones which are empty on purpose.
    pub fn named(fields: impl IntoIterator<Item = (Self, bool)>) -> Vec<String> {
        fields.into_iter().filter(|(_, empty)| *empty).map(|(field, _)| field.name().to_owned()).collect()
    }
}
