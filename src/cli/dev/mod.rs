//! `userpool dev`: everything that development needs, started and stopped by one command.

pub mod postgres;
