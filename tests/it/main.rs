//! Scenarios against the real server, Postgres and Kafka.

mod documents;
mod relay;
mod store;
mod support;
