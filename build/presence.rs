//! The fields where an empty list or map differs from an absent one, and the fields that name the empty ones.

use std::collections::BTreeSet;
use std::fmt::Write;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::{Failure, names};

/// `enum EmptyField`: one variant for all fields of a name.
pub fn generate(pool: &DescriptorPool) -> Result<String, Failure> {
    let mut fields: BTreeSet<String> = BTreeSet::new();
    for message in pool.all_messages() {
        fields.extend(fields_of(&message)?);
    }
    let (mut variants, mut arms) = (String::new(), String::new());
    for name in &fields {
        let variant = names::pascal(name);
        let _ = writeln!(variants, "    /// `{name}`.\n    {variant},");
        let _ = writeln!(arms, "            Self::{variant} => {name:?},");
    }
    Ok(format!(
        "/// A field in which an empty list or map is another choice than none.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]\npub enum EmptyField {{\n{variants}}}\n\
         impl EmptyField {{\n    /// The field's name in the protos.\n    pub fn name(self) -> &'static str {{\n        match self {{\n{arms}        }}\n    }}\n}}\n"
    ))
}

/// The names of a message's fields with `empty_differs`. Such a message has one more field, which names the empty ones.
fn fields_of(message: &MessageDescriptor) -> Result<BTreeSet<String>, Failure> {
    let mut fields = BTreeSet::new();
    for field in message.fields().filter(|field| names::flag(field, "empty_differs")) {
        if !field.is_list() && !field.is_map() {
            return Err(format!("{}: empty_differs is for a list or a map", field.full_name()).into());
        }
        fields.insert(field.name().to_owned());
    }
    let naming = message.fields().filter(|field| names::flag(field, "names_empty")).count();
    if naming != usize::from(!fields.is_empty()) {
        let name = message.full_name();
        return Err(format!("{name}: one field with names_empty belongs to fields with empty_differs").into());
    }
    Ok(fields)
}
