//! The doors, and the pipeline that they share.

pub mod authenticate;
pub mod aws_json;
pub mod body;
pub mod checks;
pub mod context;
pub mod grpc;
pub mod http;
pub mod listener;
pub mod observation;
pub mod once;
pub mod operation;
pub mod pipeline;
pub mod sigv4;
pub mod status;
pub mod trusted_proxies;
