//! A call on its way through the pipeline.

use std::sync::Arc;

use crate::api::operation::Operation;
use crate::app::App;
use crate::app::caller::Caller;

/// A call on its way.
pub struct Context {
    /// The operation.
    pub operation: Operation,
    /// What operations stand on.
    pub app: Arc<App>,
    /// Who calls.
    pub caller: Caller,
}
