//! The context of a call in the pipeline.

use std::sync::Arc;

use crate::api::operation::Operation;
use crate::app::App;
use crate::app::caller::Caller;

/// A call in the pipeline, without its message.
pub struct Context {
    /// The operation that the caller named.
    pub operation: Operation,
    /// The application that operations run on.
    pub app: Arc<App>,
    /// The caller, as far as they are known at this point.
    pub caller: Caller,
}
