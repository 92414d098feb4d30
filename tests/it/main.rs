//! Scenarios through the public doors, against real components: one binary, so that all share one environment.

#![allow(missing_docs, reason = "tests are named by what a user sees")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "all of it is tests")]
#![allow(clippy::too_many_lines, reason = "a scenario tells one thing after another")]

mod admin_create_user;
mod admin_user;
mod administrators;
mod app_client;
mod attacks;
mod auth;
mod bad_input;
mod boundaries;
mod budgets;
mod callers;
mod changes;
mod client_certificates;
mod concurrency;
mod confirm_by_link;
mod console;
mod contract;
mod dev_command;
mod disabled_users;
mod documents;
mod erasure;
mod event_levels;
mod events;
mod golden_events;
mod group;
mod hiding;
mod idempotency;
mod imports;
mod infrastructure_as_code;
mod killed;
mod limits;
mod linked_identities;
mod list_users;
mod load_driver;
mod loud_log;
mod mfa;
mod mfa_challenges;
mod mfa_guesses;
mod new_password;
mod observability;
mod one_caller;
mod pages;
mod password;
mod pool_operations;
mod refresh_tokens;
mod refusals;
mod relay;
mod relay_command;
mod rolling_update;
mod secrets;
mod seed;
mod seed_schema;
mod serve;
mod serve_messages;
mod sign_up;
mod store;
mod support;
mod tokens;
mod upgrade;
mod upgrade_clients;
mod user;
mod user_attributes;
mod user_pool;
