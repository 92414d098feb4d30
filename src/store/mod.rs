//! Postgres.
pub mod keys;
pub mod seal;
