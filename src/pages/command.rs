//! Commands for a shell.

use serde_json::Value;

/// What to type for a call, with either of two programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The heading over the command.
    pub title: String,
    /// The call with the AWS CLI.
    pub aws: String,
    /// The call with grpcurl.
    pub grpcurl: String,
}

impl Command {
    /// A call of an operation, given its name, its path over gRPC, and a request in Cognito's names. The variables are
    /// those of `dev.env`.
    pub fn new(title: impl Into<String>, operation: &str, path: &str, request: &Value) -> Self {
        let request = quoted(&format!("{request:#}"));
        let (name, path) = (kebab(operation), path.trim_start_matches('/'));
        Self {
            title: title.into(),
            aws: format!("aws cognito-idp {name} --cli-input-json {request}"),
            grpcurl: format!(
                "grpcurl -plaintext -H \"authorization: Bearer $USERPOOL_TOKEN\" -d {request} \"$USERPOOL_GRPC_ADDR\" {path}"
            ),
        }
    }
}

/// Any text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The AWS CLI's name of an operation: `CreateUserPool` → `create-user-pool`.
fn kebab(name: &str) -> String {
    let mut kebab = String::with_capacity(name.len() + 8);
    for (index, character) in name.char_indices() {
        if index > 0 && character.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(character.to_ascii_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_a_command_of_either_program() {
        let command = Command::new(
            "Make one",
            "CreateUserPool",
            "/userpool.v1.UserPoolService/CreateUserPool",
            &json!({ "PoolName": "it's" }),
        );
        assert_eq!(
            command.aws,
            "aws cognito-idp create-user-pool --cli-input-json '{\n  \"PoolName\": \"it'\\''s\"\n}'"
        );
        assert!(command.grpcurl.ends_with("\"$USERPOOL_GRPC_ADDR\" userpool.v1.UserPoolService/CreateUserPool"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_shell_reads_a_quoted_text_as_it_is(text in "[^\0]{0,40}") {
            let output = Process::new("sh").arg("-c").arg(format!("printf %s {}", quoted(&text))).output().unwrap();
            prop_assert_eq!(output.stdout, text.into_bytes());
        }
    }
}
