//! Kafka: the relay that publishes both logs as CloudEvents, and the parts that it is made of.
//!
//! Events go to `userpool.directory` (from `log`) and `userpool.activity` (from `activity`): at least once, none
//! skipped, and in order for each key. Commands never wait for this: a missing broker only delays events.
//!
//! Consumers read with `isolation.level=read_committed` (librdkafka's default, not Java's) and drop duplicates by
//! `ce_id`: after a failure, a batch can be published twice.

pub mod client;
pub mod cloud_event;
pub mod config;
pub mod embedded;
pub mod pause;
pub mod producer;
pub mod relay;
pub mod topics;
