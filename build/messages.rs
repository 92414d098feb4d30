//! The messages: prost's structs, with a `Debug` that hides what is sensitive, and serde for events.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::{Failure, names};

/// Writes one Rust module for each proto package, and `debug.rs`.
pub fn generate(pool: &DescriptorPool, files: FileDescriptorSet, out: &Path) -> Result<(), Failure> {
    let mut config = prost_build::Config::new();
    config.out_dir(out).include_file("proto.rs").btree_map(["."]);
    config.skip_debug(ours(pool).map(|message| format!(".{}", message.full_name())));
    for message in stored(pool) {
        serde_attributes(&mut config, &message);
    }
    config.compile_fds(files)?;
    std::fs::write(out.join("debug.rs"), debug(pool))?;
    Ok(())
}

/// The messages of the API and of events.
fn ours(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> {
    pool.all_messages().filter(|message| message.package_name().starts_with("userpool.") && !message.is_map_entry())
}

/// Every message that an event can contain: these are written as JSON.
fn stored(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<_> =
        pool.all_messages().filter(|message| message.package_name() == "userpool.events.v1").collect();
    while let Some(message) = open.pop() {
        if message.is_map_entry() || !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        open.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
        found.push(message);
    }
    found
}

fn serde_attributes(config: &mut prost_build::Config, message: &MessageDescriptor) {
    let name = message.full_name();
    if message.oneofs().any(|oneof| !oneof.is_synthetic()) {
        return;
    }
    config.message_attribute(
        name,
        "#[derive(serde::Serialize, serde::Deserialize)] #[serde(default, deny_unknown_fields)]",
    );
    for field in message.fields() {
        let path = format!("{name}.{}", field.name());
        config.field_attribute(path, serde_attribute(&field));
    }
}

fn serde_attribute(field: &FieldDescriptor) -> String {
    let skip = if field.is_map() {
        "std::collections::BTreeMap::is_empty"
    } else if field.is_list() {
        "Vec::is_empty"
    } else if field.supports_presence() {
        "Option::is_none"
    } else {
        "crate::proto::json::is_default"
    };
    let with = match field.kind() {
        Kind::Bytes => Some("crate::proto::json::base64".to_owned()),
        Kind::Enum(kind) => {
            let list = if field.is_list() { "::list" } else { "" };
            Some(format!("crate::proto::enumerations::{}{list}", names::snake(kind.name())))
        }
        _ => None,
    };
    let with = with.map(|module| format!(", with = \"{module}\"")).unwrap_or_default();
    format!("#[serde(skip_serializing_if = \"{skip}\"{with})]")
}

/// A `Debug` for every message, in which a sensitive field shows only that it is set.
fn debug(pool: &DescriptorPool) -> String {
    let mut code = String::new();
    for message in ours(pool) {
        let path = names::message_path(&message);
        let _ = writeln!(code, "impl std::fmt::Debug for {path} {{");
        let _ = writeln!(code, "    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{");
        let _ = writeln!(code, "        let mut shown = f.debug_struct({:?});", message.name());
        for field in message.fields() {
            if field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
                continue;
            }
            let name = names::field_name(&field);
            if names::flag(&field, "sensitive") || field.kind() == Kind::Bytes {
                let _ = writeln!(code, "        shown.field({name:?}, &format_args!(\"…\"));");
            } else {
                let _ = writeln!(code, "        shown.field({name:?}, &self.{name});");
            }
        }
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let name = oneof.name();
            let _ = writeln!(code, "        shown.field({name:?}, &self.{name});");
            let variants = format!(
                "crate::proto::{}::{}::{}",
                message.package_name().replace('.', "::"),
                names::snake(message.name()),
                names::pascal(name)
            );
            let mut arms = String::new();
            for field in oneof.fields() {
                let variant = names::pascal(field.name());
                let _ = writeln!(arms, "            {variants}::{variant}(inner) => inner.fmt(f),");
            }
            let _ = writeln!(
                code,
                "        shown.finish()\n    }}\n}}\nimpl std::fmt::Debug for {variants} {{\n    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n        match self {{\n{arms}        }}"
            );
        }
        if !message.oneofs().any(|oneof| !oneof.is_synthetic()) {
            let _ = writeln!(code, "        shown.finish()");
        }
        let _ = writeln!(code, "    }}\n}}");
    }
    code.push_str(&debug_of_any(pool));
    code
}

/// The debug output of any message by its type's name, for the test that no sensitive value shows.
fn debug_of_any(pool: &DescriptorPool) -> String {
    let mut arms = String::new();
    for message in ours(pool) {
        let (name, path) = (message.full_name(), names::message_path(&message));
        let _ = writeln!(arms, "        {name:?} => {path}::decode(bytes).map(|message| format!(\"{{message:?}}\")),");
    }
    let signature = "fn debug_of(name: &str, bytes: &[u8]) -> Result<String, prost::DecodeError>";
    format!(
        "#[cfg(test)]\n{signature} {{\n    use prost::Message as _;\n    match name {{\n{arms}        _ => unreachable!(\"no message of that name\"),\n    }}\n}}\n"
    )
}
