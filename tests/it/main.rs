//! Scenarios against the real server, Postgres and Kafka.

mod store;
mod support;
