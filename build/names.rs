//! How a descriptor's names become Rust paths, as prost does it.

use prost_reflect::{FieldDescriptor, MessageDescriptor};

/// `GetCSVHeader` → `get_csv_header`; `SignUp` → `sign_up`.
pub fn snake(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, &character) in characters.iter().enumerate() {
        let after_lower = index > 0 && !characters[index - 1].is_uppercase();
        let before_lower = characters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if character.is_uppercase() && index > 0 && (after_lower || before_lower) {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

/// `sign_up` → `SignUp`, also for names whose case prost normalises (`GetCSVHeaderRequest` → `GetCsvHeaderRequest`).
pub fn pascal(name: &str) -> String {
    snake(name)
        .split('_')
        .map(|word| {
            let mut characters = word.chars();
            match characters.next() {
                Some(first) => first.to_uppercase().collect::<String>() + characters.as_str(),
                None => String::new(),
            }
        })
        .collect()
}

/// The Rust path of one of our messages.
pub fn message_path(message: &MessageDescriptor) -> String {
    let module = message.package_name().replace('.', "::");
    format!("crate::proto::{module}::{}", pascal(message.name()))
}

/// The Rust name of a field.
pub fn field_name(field: &FieldDescriptor) -> String {
    match field.name() {
        keyword @ ("type" | "use" | "match" | "ref" | "enum" | "struct") => format!("r#{keyword}"),
        name => name.to_owned(),
    }
}

/// Whether one of our boolean options is set on a field.
pub fn flag(field: &FieldDescriptor, option: &str) -> bool {
    let pool = field.parent_pool();
    let Some(extension) = pool.get_extension_by_name(&format!("userpool.v1.{option}")) else { return false };
    field.options().get_extension(&extension).as_bool().unwrap_or(false)
}
