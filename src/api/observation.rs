//! What is measured of a call at every door: its span, the ids in its log lines, its time and its outcome.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::HeaderMap;
use tonic::Code;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::api::operation::{Operation, OperationInfo};
use crate::api::status;
use crate::domain::error::{Error, Exception};
use crate::environment::Random;
use crate::telemetry::trace::{self, TraceContext};
use crate::telemetry::{log, metrics};

/// The protocol of a door, by the value of `rpc.system.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// gRPC, and gRPC-Web at the same listener.
    Grpc,
    /// AWS JSON 1.1: what the SDKs of AWS speak.
    AwsJson,
    /// The form of a page, which confirms a sign-up by link.
    Page,
}

impl System {
    fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::AwsJson => "aws_json",
            Self::Page => "page",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    Refused(Exception),
    /// The caller's own deadline came first.
    DeadlineExceeded,
    /// The caller went away.
    Cancelled,
}

/// A call that is under way. When the last copy is dropped, the call has ended: it is counted then.
#[derive(Clone, Debug)]
pub struct Observation(Arc<Call>);

#[derive(Debug)]
struct Call {
    system: System,
    info: &'static OperationInfo,
    began: Instant,
    request_id: String,
    /// Where the call's effects belong: in our own span if there is one, else in the caller's.
    trace_context: Option<TraceContext>,
    /// The span that is exported, if the call is traced.
    traced: Span,
    /// The ids of log lines.
    logged: log::Call,
    outcome: OnceLock<Outcome>,
}

impl Observation {
    /// Begins when the headers of a call are there.
    pub fn begin(system: System, operation: Operation, headers: &HeaderMap, random: &Random) -> Self {
        let info = operation.info();
        let id = random.uuid();
        let request_id = id.to_string();
        let caller = trace_context(headers);
        let method = method(info);
        let traced = trace::call(caller.as_ref(), || {
            tracing::info_span!(
                target: trace::ROOT,
                "call",
                otel.name = method,
                otel.kind = "server",
                otel.status_code = Empty,
                rpc.system.name = system.name(),
                rpc.method = method,
                rpc.response.status_code = Empty,
                error.type = Empty,
                userpool.request_id = request_id,
            )
        });
        let trace_context = TraceContext::of(&traced).or(caller);
        let trace_id = trace_context.map(|context| context.trace_id());
        let logged = log::Call { operation: info.name, request_id: id, trace_id };
        let (began, outcome) = (Instant::now(), OnceLock::new());
        Self(Arc::new(Call { system, info, began, request_id, trace_context, traced, logged, outcome }))
    }

    /// The id that the caller reads too.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// The operation that is called.
    pub fn operation(&self) -> Operation {
        self.0.info.operation
    }

    /// Where the call's effects belong in a trace.
    pub fn trace_context(&self) -> Option<TraceContext> {
        self.0.trace_context
    }

    /// Runs the call, or a part of it: its steps and its log lines belong to it.
    pub fn run<T>(&self, part: impl Future<Output = T>) -> impl Future<Output = T> {
        log::within(self.0.logged, part.instrument(self.0.traced.clone()))
    }

    /// The call ended like this. The first end counts.
    pub fn ended<T>(&self, result: &Result<T, Error>) {
        let outcome = result.as_ref().map_or_else(|error| Outcome::Refused(error.exception), |_| Outcome::Answered);
        if let Some(limit) = result.as_ref().err().and_then(|error| error.limit) {
            metrics::LIMITS_HIT.add(1, [limit]);
        }
        let _ = self.0.outcome.set(outcome);
    }

    /// The caller's deadline was over before the answer.
    pub fn deadline_exceeded(&self) {
        let _ = self.0.outcome.set(Outcome::DeadlineExceeded);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let outcome = self.outcome.get().copied().unwrap_or(Outcome::Cancelled);
        let (error, status) = (error_type(outcome), status_code(self.system, outcome));
        metrics::CALL_DURATION.record(self.began.elapsed(), [self.system.name(), method(self.info), status, error]);
        self.traced.record("rpc.response.status_code", status);
        if !error.is_empty() {
            self.traced.record("error.type", error);
        }
        // A refusal is what the caller asked for; only a fault of the server is an error of its span.
        if matches!(
            outcome,
            Outcome::Refused(Exception::InternalErrorException | Exception::ServiceUnavailableException)
        ) {
            self.traced.record("otel.status_code", "ERROR");
        }
    }
}

/// The trace context of a request, if it has one.
fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    headers.get("traceparent")?.to_str().ok()?.parse().ok()
}

/// The fully qualified name of a method: the path without its first slash.
fn method(info: &OperationInfo) -> &'static str {
    info.path.trim_start_matches('/')
}

fn error_type(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => "",
        Outcome::Refused(exception) => exception.name(),
        Outcome::DeadlineExceeded => "deadline_exceeded",
        Outcome::Cancelled => "cancelled",
    }
}

/// What the caller reads: the name of gRPC's code, or HTTP's status.
fn status_code(system: System, outcome: Outcome) -> &'static str {
    match (system, outcome) {
        (System::Grpc, Outcome::Answered) => status::code_name(Code::Ok),
        (System::Grpc, Outcome::Refused(exception)) => status::code_name(status::code(exception)),
        (System::Grpc, Outcome::DeadlineExceeded) => status::code_name(Code::DeadlineExceeded),
        (System::Grpc, Outcome::Cancelled) => status::code_name(Code::Cancelled),
        (System::AwsJson | System::Page, Outcome::Answered) => "200",
        (System::AwsJson | System::Page, Outcome::Refused(exception)) => {
            match status::http_status(exception).as_u16() {
                403 => "403",
                500 => "500",
                503 => "503",
                _ => "400",
            }
        }
        // Nobody is there to read an answer.
        (_, Outcome::DeadlineExceeded | Outcome::Cancelled) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_what_the_caller_reads() {
        let refused = Outcome::Refused(Exception::UserNotFoundException);
        assert_eq!(status_code(System::Grpc, refused), "NOT_FOUND");
        assert_eq!(status_code(System::AwsJson, refused), "400");
        for exception in Exception::ALL {
            let status = status::http_status(*exception).as_u16().to_string();
            assert_eq!(status_code(System::AwsJson, Outcome::Refused(*exception)), status, "{exception:?}");
        }
    }

    #[test]
    fn the_first_end_of_a_call_counts_and_without_one_it_was_cancelled() {
        let begin = || Observation::begin(System::Grpc, Operation::SignUp, &HeaderMap::new(), &Random::default());
        let call = begin();
        assert_eq!(call.0.outcome.get(), None, "dropped like this, it is cancelled");
        call.ended(&Err::<(), _>(Error::too_many_requests()));
        call.ended(&Ok(()));
        assert_eq!(call.0.outcome.get(), Some(&Outcome::Refused(Exception::TooManyRequestsException)));
        assert_eq!(method(call.0.info), "userpool.v1.SignUpService/SignUp");
    }
}
