//! A self-hosted user directory with the Amazon Cognito user-pools API.
//!
//! The layers, from the outside in: [`cli`], [`api`], [`app`], [`triggers`], then [`tokens`], [`delivery`], [`kafka`], [`pages`] and
//! [`limits`] side by side, [`store`], [`domain`]. Imports point inwards only. ARCHITECTURE.md draws the layers.

#![cfg_attr(test, allow(clippy::too_many_lines, reason = "a test tells one thing after another"))]

pub mod api;
pub mod app;
pub mod cli;
pub mod delivery;
pub mod domain;
pub mod environment;
pub mod kafka;
pub mod limits;
pub mod pages;
pub mod proto;
pub mod secret_file;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod triggers;
