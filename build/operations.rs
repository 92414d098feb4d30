//! The table of operations and the one dispatch from an operation to its use case.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor, ReflectMessage};

use crate::{Failure, names, refusals};

/// `enum Operation`, its table, `dispatch` and the typed view of each request.
pub fn generate(pool: &DescriptorPool) -> Result<String, Failure> {
    let extension = pool.get_extension_by_name("userpool.v1.operation").ok_or("no option userpool.v1.operation")?;
    let mut variants = String::new();
    let mut all = String::new();
    let mut table = String::new();
    let mut arms = String::new();
    let mut functions = String::new();
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
            let built = Path::new("src/app").join(&folder).join(format!("{function}.rs")).exists();
            let _ = writeln!(variants, "    /// `{}/{name}`.\n    {name},", service.full_name());
            let _ = writeln!(all, "        Self::{name},");
            write_row(&mut table, &method, declared, built)?;
            if built {
                let run = format!(
                    "encoded(crate::app::{folder}::{function}::{function}(&context.app, &context.caller, request).await)"
                );
                let run = if is_developer_command(&method, declared)? { once(&run) } else { run };
                let _ = writeln!(arms, "        Operation::{name} => {function}(context, body),");
                let context = if run.contains("&mut context") { "mut context" } else { "context" };
                let _ = writeln!(
                    functions,
                    "fn {function}({context}: Context, body: Bytes) -> BoxFuture<'static, Result<Bytes, Error>> {{\n    Box::pin(async move {{\n        let request = crate::api::pipeline::admit(&context, body)?;\n        crate::api::pipeline::spend_quota(&context, &request).await?;\n        {run}\n    }})\n}}"
                );
            }
            let input = names::message_path(&method.input());
            let output = names::message_path(&method.output());
            let pool_id = user_pool_id(&method.input());
            let client_id = text_field(&method.input(), "client_id");
            let access_token = text_field(&method.input(), "access_token");
            let _ = writeln!(
                requests,
                "impl crate::api::operation::Request for {input} {{\n    const OPERATION: Operation = Operation::{name};\n    type Response = {output};\n    fn user_pool_id(&self) -> Option<&str> {{ {pool_id} }}\n    fn client_id(&self) -> Option<&str> {{ {client_id} }}\n    fn access_token(&self) -> Option<&str> {{ {access_token} }}\n}}"
            );
            count += 1;
        }
    }
    Ok(format!(
        "/// Every operation of the API, by its own name.\n#[allow(clippy::upper_case_acronyms)]\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\npub enum Operation {{\n{variants}}}\n\
         impl Operation {{\n    /// All of them, in the order of the protos.\n    pub const ALL: [Self; {count}] = [\n{all}    ];\n}}\n\
         pub(super) static OPERATIONS: [OperationInfo; {count}] = [\n{table}];\n\
         /// The services' full names.\npub static SERVICES: &[&str] = &{services:?};\n\
         /// Runs an operation through the part of the pipeline that knows its types. Each has a future of its own on the heap: one of\n\
         /// all operations together would take more of a stack than there is.\n\
         pub(super) fn dispatch(context: Context, body: Bytes) -> BoxFuture<'static, Result<Bytes, Error>> {{\n    match context.operation {{\n{arms}        #[allow(unreachable_patterns)]\n        unbuilt => Box::pin(std::future::ready(Err(Error::not_implemented(unbuilt.info().name)))),\n    }}\n}}\n{functions}\
         fn encoded(answer: Result<impl prost::Message, Error>) -> Result<Bytes, Error> {{\n    answer.map(|response| response.encode_to_vec().into())\n}}\n{requests}"
    ))
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
    let errors: BTreeSet<_> = refusals::of(method)?.into_iter().map(|refusal| refusal.exception).collect();
    let exceptions: String = errors.iter().map(|error| format!("Exception::{error}, ")).collect();
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

/// Whether an operation is one that a developer can name, so that it is done once.
fn is_developer_command(method: &MethodDescriptor, declared: &DynamicMessage) -> Result<bool, Failure> {
    Ok(!is_read(method) && enum_name(declared, "authorization", "AUTHORIZATION_")? == "Developer")
}

/// The expression that runs a command unless it has an answer already.
fn once(run: &str) -> String {
    format!(
        "if let Some(answer) = crate::api::once::begin(&mut context, &request).await? {{ return Ok(answer); }}\n            let answer = {run};\n            crate::api::once::end(&context, answer).await"
    )
}

fn enum_name(message: &DynamicMessage, field: &str, prefix: &str) -> Result<String, Failure> {
    let descriptor = message.descriptor().get_field_by_name(field).ok_or("no such option")?;
    let Kind::Enum(kind) = descriptor.kind() else { return Err("not an enumeration".into()) };
    let number = message.get_field(&descriptor).as_enum_number().ok_or("not a number")?;
    let value = kind.get_value(number).ok_or("an unknown value")?;
    let stem = value.name().strip_prefix(prefix).ok_or("a value without its prefix")?;
    Ok(names::pascal(&stem.to_lowercase()))
}

/// The expression for a text of a request that may have no such field.
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
