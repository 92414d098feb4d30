//! Lists and maps that were given but are empty, which protobuf can't distinguish from absent ones.
//!
//! Where an empty list or map differs from an absent one (`empty_differs` in the protos), the message has a field that
//! names the empty ones (`names_empty`). gRPC callers read and write that field; the AWS JSON door does it for its
//! callers.

include!(concat!(env!("OUT_DIR"), "/presence.rs"));

impl EmptyField {
    /// Whether the field `given_empty` of a message names this field.
    pub fn is_in(self, given_empty: &[String]) -> bool {
        given_empty.iter().any(|name| name == self.name())
    }

    /// The value of `given_empty` that names those of the given fields that are empty on purpose.
    pub fn named(fields: impl IntoIterator<Item = (Self, bool)>) -> Vec<String> {
        fields.into_iter().filter(|(_, empty)| *empty).map(|(field, _)| field.name().to_owned()).collect()
    }
}
