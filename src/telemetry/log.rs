//! Which call a log line belongs to.
//!
//! Every call has ids, and few have a log line. So the ids are kept as they are, and written into a line when there is
//! one: a span for them would be written for each call.

use std::fmt;

use opentelemetry::trace::TraceId;
use tokio::task::futures::TaskLocalFuture;
use uuid::Uuid;

tokio::task_local! {
    static CALL: Option<Call>;
}

/// The ids of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The operation that is called.
    pub operation: &'static str,
    /// The id that the caller reads, too.
    pub request_id: Uuid,
    /// The trace, if the call is traced or its caller named one.
    pub trace_id: Option<TraceId>,
}

impl Call {
    /// The names and values that a log line shows.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, String)> {
        let always = [("operation", self.operation.to_owned()), ("request_id", self.request_id.to_string())];
        always.into_iter().chain(self.trace_id.map(|id| ("trace_id", id.to_string())))
    }
}

/// Runs work whose log lines belong to this call.
pub fn within<F: Future>(call: Call, work: F) -> TaskLocalFuture<Option<Call>, F> {
    CALL.scope(Some(call), work)
}

/// Runs work, in a task of its own, whose log lines belong to the call that began it.
pub fn continued<F: Future>(work: F) -> TaskLocalFuture<Option<Call>, F> {
    CALL.scope(current(), work)
}

/// The call whose work runs now.
pub fn current() -> Option<Call> {
    CALL.try_with(|call| *call).ok().flatten()
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.fields() {
            write!(formatter, " {name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_reaches_the_tasks_that_it_begins_and_no_others() {
        let call = Call { operation: "SignUp", request_id: Uuid::from_u128(1), trace_id: None };
        assert_eq!(current(), None);
        let (here, continued, detached) = within(call, async {
            let continued = tokio::spawn(continued(async { current() }));
            let detached = tokio::spawn(async { current() });
            (current(), continued.await.unwrap(), detached.await.unwrap())
        })
        .await;
        assert_eq!((here, continued, detached, current()), (Some(call), Some(call), None, None));
    }
}
