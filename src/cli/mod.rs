//! The command line: what a person or a supervisor starts.

pub mod dev;
