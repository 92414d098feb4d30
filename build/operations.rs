//! The table of operations and the one dispatch from an operation to its use case.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, ReflectMessage};

use crate::{Failure, names, refusals};

/// The code that is generated from the operations.
pub struct Generated {
    /// `enum Operation`, its table and the typed view of each request.
    pub operations: String,
    /// `dispatch`, for the pipeline.
    pub dispatch: String,
}

/// Generates the code from the rpcs of all services.
pub fn generate(pool: &DescriptorPool) -> Result<Generated, Failure> {
    let extension = pool.get_extension_by_name("userpool.v1.operation").ok_or("no option userpool.v1.operation")?;
    let mut variants = String::new();
    let mut all = String::new();
    let mut table = String::new();
    let mut arms = String::new();
    let mut requests = String::new();
    let mut services = Vec::new();
    let mut count = 0;
    for service in pool.services().filter(|service| service.package_name() == "userpool.v1") {
        services.push(service.full_name().to_owned());
        for method in service.methods() {
            let options = method.options();
            let declared = options.get_extension(&extension);
            let declared = declared.as_message().ok_or("an rpc without option userpool.v1.operation")?;
            let name = method.name();
            let folder = names::snake(service.name().trim_end_matches("Service"));
            let function = names::snake(name);
            let use_case = UseCase::find(&folder, &function)?;
            let _ = writeln!(variants, "    /// `{}/{name}`.\n    {name},", service.full_name());
            let _ = writeln!(all, "        Self::{name},");
            write_row(&mut table, &method, declared, use_case.is_some())?;
            let input = names::message_path(&method.input());
            let output = names::message_path(&method.output());
            let pool_id = user_pool_id(&method.input());
            let client_id = text_field(&method.input(), "client_id");
            let access_token = text_field(&method.input(), "access_token");
            let _ = writeln!(
                requests,
                "impl crate::api::operation::Request for {input} {{\n    const OPERATION: Operation = Operation::{name};\n    type Response = {output};\n    fn user_pool_id(&self) -> Option<&str> {{ {pool_id} }}\n    fn client_id(&self) -> Option<&str> {{ {client_id} }}\n    fn access_token(&self) -> Option<&str> {{ {access_token} }}\n}}"
            );
            if let Some(use_case) = use_case {
                let _ = writeln!(arms, "        Operation::{name} => Box::pin(run::<{input}>(context, body)),");
                let run = use_case.run(&method)?;
                let _ = writeln!(
                    requests,
                    "impl crate::api::operation::UseCase for {input} {{\n    fn run<'a>(&'a self, app: &'a crate::app::App, caller: &'a crate::app::caller::Caller) -> BoxFuture<'a, Result<{output}, Error>> {{\n        Box::pin({run})\n    }}\n}}"
                );
            }
            count += 1;
        }
    }
    let operations = format!(
        "/// Every operation of the API, by its own name.\n#[allow(clippy::upper_case_acronyms)]\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\npub enum Operation {{\n{variants}}}\n\
         impl Operation {{\n    /// All of them, in the order of the protos.\n    pub const ALL: [Self; {count}] = [\n{all}    ];\n}}\n\
         pub(super) static OPERATIONS: [OperationInfo; {count}] = [\n{table}];\n\
         /// The services' full names.\npub static SERVICES: &[&str] = &{services:?};\n{requests}"
    );
    let dispatch = format!(
        "/// Runs an operation through the part of the pipeline that knows its types.\n\
         #[allow(clippy::too_many_lines, reason = \"a line for each operation\")]\n\
         fn dispatch(context: Context, body: Bytes) -> BoxFuture<'static, Result<Bytes, Error>> {{\n    match context.operation {{\n{arms}        #[allow(unreachable_patterns)]\n        unbuilt => Box::pin(std::future::ready(Err(Error::not_implemented(unbuilt.info().name)))),\n    }}\n}}\n"
    );
    Ok(Generated { operations, dispatch })
}

/// A file of `src/app` that answers an operation.
struct UseCase {
    path: String,
    /// Whether it has a function `prepare`, for work that is not repeated when the operation is retried.
    prepares: bool,
}

impl UseCase {
    fn find(folder: &str, function: &str) -> Result<Option<Self>, Failure> {
        let file = Path::new("src/app").join(folder).join(format!("{function}.rs"));
        if !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(file)?;
        let prepares = ["(", "<"].iter().any(|next| text.contains(&format!("\npub async fn prepare{next}")));
        Ok(Some(Self { path: format!("crate::app::{folder}::{function}"), prepares }))
    }

    /// The expression that runs the use case, and runs it again if another request changed the data first.
    fn run(&self, method: &MethodDescriptor) -> Result<String, Failure> {
        let Self { path, prepares } = self;
        let function = path.rsplit("::").next().unwrap_or_default();
        let concurrent = "ConcurrentModificationException";
        let declared = errors(method)?.contains(concurrent);
        let collision = if declared { concurrent } else { "TooManyRequestsException" };
        let settled = if *prepares {
            format!(
                "settled_with(Exception::{collision}, move || {path}::prepare(app, caller, self), move |prepared| async move {{ {path}::{function}(app, caller, self, &prepared).await }})"
            )
        } else {
            format!("settled(Exception::{collision}, move || {path}::{function}(app, caller, self))")
        };
        Ok(format!("crate::app::attempts::{settled}"))
    }
}

/// The exceptions that an operation declares.
fn errors(method: &MethodDescriptor) -> Result<BTreeSet<String>, Failure> {
    Ok(refusals::of(method)?.into_iter().map(|refusal| refusal.exception).collect())
}

fn write_row(
    table: &mut String,
    method: &MethodDescriptor,
    declared: &DynamicMessage,
    built: bool,
) -> Result<(), Failure> {
    let name = method.name();
    let authorization = enum_name(declared, "authorization", "AUTHORIZATION_")?;
    let quota = enum_name(declared, "quota", "QUOTA_CATEGORY_")?;
    if authorization == "Unspecified" || quota == "Unspecified" {
        return Err(format!("{name} declares no authorization or no quota category").into());
    }
    let exceptions: String = errors(method)?.iter().map(|error| format!("Exception::{error}, ")).collect();
    let no_output = declared.get_field_by_name("no_output").and_then(|value| value.as_bool()).unwrap_or(false);
    let read = is_read(method);
    let _ = writeln!(
        table,
        "    OperationInfo {{ operation: Operation::{name}, name: {name:?}, service: {:?}, path: \"/{}/{name}\", authorization: Authorization::{authorization}, quota: QuotaCategory::{quota}, errors: &[{exceptions}], no_output: {no_output}, read: {read}, built: {built}, request: {:?}, response: {:?} }},",
        method.parent_service().name(),
        method.parent_service().full_name(),
        method.input().full_name(),
        method.output().full_name(),
    );
    Ok(())
}

fn is_read(method: &MethodDescriptor) -> bool {
    method.options().get_field_by_name("idempotency_level").and_then(|level| level.as_enum_number()) == Some(1)
}

fn enum_name(message: &DynamicMessage, field: &str, prefix: &str) -> Result<String, Failure> {
    let descriptor = message.descriptor().get_field_by_name(field).ok_or("no such option")?;
    let Kind::Enum(kind) = descriptor.kind() else { return Err("not an enumeration".into()) };
    let number = message.get_field(&descriptor).as_enum_number().ok_or("not a number")?;
    let value = kind.get_value(number).ok_or("an unknown value")?;
    let stem = value.name().strip_prefix(prefix).ok_or("a value without its prefix")?;
    Ok(names::pascal(&stem.to_lowercase()))
}

/// The expression that reads a text field of a request; `None` if the message has no such field.
fn text_field(message: &MessageDescriptor, name: &str) -> String {
    let is_there = message.get_field_by_name(name).is_some();
    if is_there { format!("self.{name}.as_deref()") } else { "None".to_owned() }
}

/// The expression that finds the pool a request names, by its id or in an ARN.
fn user_pool_id(message: &MessageDescriptor) -> &'static str {
    if message.get_field_by_name("user_pool_id").is_some() {
        "self.user_pool_id.as_deref()"
    } else if message.get_field_by_name("resource_arn").is_some() {
        "self.resource_arn.as_deref().and_then(crate::api::operation::pool_of_arn)"
    } else {
        "None"
    }
}
