//! The fields of requests in which an empty list or map is another choice than none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use prost_reflect::DescriptorPool;

use crate::{Failure, names};

/// `enum EmptyField`: one variant for all fields of a name, since a call has one request.
pub fn generate(pool: &DescriptorPool) -> Result<String, Failure> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let requests: BTreeSet<String> = pool
        .services()
        .flat_map(|service| service.methods().map(|method| method.input().full_name().to_owned()).collect::<Vec<_>>())
        .collect();
    for message in pool.all_messages() {
        for field in message.fields().filter(|field| names::flag(field, "empty_differs")) {
            let refused = |why: &str| Err(format!("{}: empty_differs is {why}", field.full_name()).into());
            if !field.is_list() && !field.is_map() {
                return refused("for a list or a map");
            }
            if !requests.contains(message.full_name()) {
                return refused("for a field of a request itself");
            }
            fields.entry(field.name().to_owned()).or_default().push(field.full_name().to_owned());
        }
    }
    let (mut variants, mut arms) = (String::new(), String::new());
    for (name, full_names) in &fields {
        let variant = names::pascal(name);
        let _ = writeln!(variants, "    /// `{name}`.\n    {variant},");
        let patterns: Vec<_> = full_names.iter().map(|name| format!("{name:?}")).collect();
        let _ = writeln!(arms, "            {} => Some(Self::{variant}),", patterns.join(" | "));
    }
    Ok(format!(
        "/// A field of a request in which an empty list or map is another choice than none.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]\npub enum EmptyField {{\n{variants}}}\n\
         impl EmptyField {{\n    /// The field of a descriptor, if it is one of these.\n    pub fn of(field: &prost_reflect::FieldDescriptor) -> Option<Self> {{\n        match field.full_name() {{\n{arms}            _ => None,\n        }}\n    }}\n}}\n"
    ))
}
