//! Scenarios through the public doors, against real components: one binary, so that all share one environment.

#![allow(missing_docs, reason = "tests are named by what a user sees")]

mod admin_user;
mod auth;
mod bad_input;
mod boundaries;
mod contract;
mod dev_command;
mod documents;
mod relay;
mod secrets;
mod sign_up;
mod store;
mod support;
mod tokens;
mod user;
