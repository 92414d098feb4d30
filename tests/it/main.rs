//! The tests against the real server, Postgres and Kafka.

mod boundaries;
mod support;
