//! Compiles the protos without `protoc` and generates, from their descriptors, everything that the doors need.

#[path = "build/checks.rs"]
mod checks;
#[path = "build/events.rs"]
mod events;
#[path = "build/levels.rs"]
mod levels;
#[path = "build/messages.rs"]
mod messages;
#[path = "build/names.rs"]
mod names;
#[path = "build/operations.rs"]
mod operations;
#[path = "build/presence.rs"]
mod presence;
#[path = "build/refusals.rs"]
mod refusals;

use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    for path in ["proto", "build", "build.rs", "src/app", "migrations"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(proto_files(Path::new("proto"))?)?;
    // `file_descriptor_set()` would drop our own options.
    let encoded = compiler.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(encoded.as_slice())?;

    std::fs::write(out.join("descriptors.bin"), &encoded)?;
    messages::generate(&pool, compiler.file_descriptor_set(), &out)?;
    std::fs::write(out.join("checks.rs"), checks::generate(&pool)?)?;
    let generated = operations::generate(&pool)?;
    std::fs::write(out.join("operations.rs"), generated.operations)?;
    std::fs::write(out.join("dispatch.rs"), generated.dispatch)?;
    std::fs::write(out.join("events.rs"), events::generate(&pool)?)?;
    std::fs::write(out.join("presence.rs"), presence::generate(&pool)?)?;
    Ok(())
}

fn proto_files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
