//! Scenarios against the real server, Postgres and Kafka.

mod relay;
mod store;
mod support;
