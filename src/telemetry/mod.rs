//! What is measured: every metric, and the spans of traces. Where they are exported is decided in `cli/telemetry`.

pub mod log;
pub mod metrics;
pub mod trace;
