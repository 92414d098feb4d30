//! Scenarios against the real server, Postgres and Kafka.

mod boundaries;
mod relay;
mod store;
mod support;
