//! Kafka: the relay that publishes both logs as CloudEvents, and what it stands on.
//!
//! Events go to `userpool.directory` (from `log`) and `userpool.activity` (from `activity`), at least once, nothing
//! skipped, in order for each key. Commands never wait for any of this: a broker that is away delays events.
//!
//! Consumers read with `isolation.level=read_committed` (librdkafka's default, not Java's) and drop what they have seen
//! by `ce_id`: after a failure a batch can come twice.

pub mod client;
pub mod cloud_event;
pub mod config;
pub mod embedded;
pub mod producer;
pub mod relay;
pub mod topics;
