//! The commands that copy, change and delete what a page shows. Responses and requests use the same names, so a request
//! is made of those members of a response that its message has, too.

use serde_json::{Map, Value, json};

use crate::api::operation::Operation;
use crate::pages::command::Command;
use crate::proto::descriptor_pool;

/// A call of an operation as a shell command.
pub(super) fn command(title: impl Into<String>, operation: Operation, request: &Value) -> Command {
    let info = operation.info();
    Command::new(title, info.name, info.path, request)
}

/// A request for something with the settings of what is shown.
pub(super) fn like(operation: Operation, shown: &Value) -> Map<String, Value> {
    let descriptor = descriptor_pool().get_message_by_name(operation.info().request);
    let takes = |name: &str| descriptor.as_ref().is_some_and(|message| message.get_field_by_json_name(name).is_some());
    let members = shown.as_object().into_iter().flatten();
    members.filter(|(name, _)| takes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Commands that copy, change and delete a pool.
pub(super) fn of_pool(pool: &Value) -> Vec<Command> {
    let (id, name) = (&pool["Id"], &pool["Name"]);
    let mut update = like(Operation::UpdateUserPool, pool);
    update.insert("UserPoolId".to_owned(), id.clone());
    let mut create = like(Operation::CreateUserPool, pool);
    create.insert("PoolName".to_owned(), name.clone());
    let schema = chosen_attributes(&pool["SchemaAttributes"]);
    if !schema.is_empty() {
        create.insert("Schema".to_owned(), Value::Array(schema));
    }
    vec![
        command("Change it: all of its settings as they are", Operation::UpdateUserPool, &Value::Object(update)),
        command("Make one like it", Operation::CreateUserPool, &Value::Object(create)),
        command("Delete it", Operation::DeleteUserPool, &json!({ "UserPoolId": id })),
    ]
}

/// The attributes that a pool has beyond the standard ones, in the form of a request.
fn chosen_attributes(schema: &Value) -> Vec<Value> {
    let attributes = schema.as_array().into_iter().flatten();
    let chosen = attributes.filter_map(|attribute| {
        let name = attribute["Name"].as_str()?;
        let own = name.strip_prefix("dev:").unwrap_or(name).strip_prefix("custom:");
        let is_asked_for = own.is_some() || (attribute["Required"] == json!(true) && name != "sub");
        let mut attribute = attribute.as_object().filter(|_| is_asked_for)?.clone();
        attribute.insert("Name".to_owned(), json!(own.unwrap_or(name)));
        Some(Value::Object(attribute))
    });
    chosen.collect()
}

/// Commands that copy, change and delete a client.
pub(super) fn of_client(client: &Value, has_secret: bool) -> Vec<Command> {
    let named = json!({ "UserPoolId": client["UserPoolId"], "ClientId": client["ClientId"] });
    let mut create = like(Operation::CreateUserPoolClient, client);
    if has_secret {
        create.insert("GenerateSecret".to_owned(), json!(true));
    }
    let update = Value::Object(like(Operation::UpdateUserPoolClient, client));
    let show = if has_secret { "Show it with its secret" } else { "Show it" };
    vec![
        command("Change it: all of its settings as they are", Operation::UpdateUserPoolClient, &update),
        command("Make one like it", Operation::CreateUserPoolClient, &Value::Object(create)),
        command(show, Operation::DescribeUserPoolClient, &named),
        command("Delete it", Operation::DeleteUserPoolClient, &named),
    ]
}

/// Commands that copy, change and delete a group, and add users to it.
pub(super) fn of_group(group: &Value) -> Vec<Command> {
    let named = json!({ "UserPoolId": group["UserPoolId"], "GroupName": group["GroupName"] });
    let update = Value::Object(like(Operation::UpdateGroup, group));
    let create = Value::Object(like(Operation::CreateGroup, group));
    let add = json!({ "UserPoolId": group["UserPoolId"], "GroupName": group["GroupName"], "Username": "jane" });
    vec![
        command("Add a user", Operation::AdminAddUserToGroup, &add),
        command("Change it: all of its settings as they are", Operation::UpdateGroup, &update),
        command("Make it", Operation::CreateGroup, &create),
        command("Delete it", Operation::DeleteGroup, &named),
    ]
}

/// Commands that copy, change and delete a user.
pub(super) fn of_user(pool: &str, user: &Value) -> Vec<Command> {
    let name = &user["Username"];
    let named = json!({ "UserPoolId": pool, "Username": name });
    let with = |more: Value| {
        let (mut request, mut more) = (named.clone(), more);
        if let (Some(request), Some(more)) = (request.as_object_mut(), more.as_object_mut()) {
            request.append(more);
        }
        request
    };
    let attributes = user["UserAttributes"].as_array().into_iter().flatten();
    // The server sets these two.
    let own = attributes.filter(|attribute| attribute["Name"] != "sub" && attribute["Name"] != "identities");
    let attributes = with(json!({ "UserAttributes": own.collect::<Vec<_>>() }));
    let turn = match user["Enabled"] == json!(false) {
        true => ("Enable it", Operation::AdminEnableUser),
        false => ("Disable it", Operation::AdminDisableUser),
    };
    vec![
        command("Change its attributes: all as they are", Operation::AdminUpdateUserAttributes, &attributes),
        command(
            "Set its password",
            Operation::AdminSetUserPassword,
            &with(json!({ "Password": "Correct-horse-1", "Permanent": true })),
        ),
        command("Add it to a group", Operation::AdminAddUserToGroup, &with(json!({ "GroupName": "readers" }))),
        command(turn.0, turn.1, &named),
        command("Make it", Operation::AdminCreateUser, &attributes),
        command("Delete it", Operation::AdminDeleteUser, &named),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::aws_json::decode::decode;

    /// Asserts that the operation accepts the request in a command.
    fn assert_is_taken(operation: Operation, request: &Value) {
        let message = descriptor_pool().get_message_by_name(operation.info().request).unwrap();
        let decoded = decode(&message, request.to_string().as_bytes());
        assert!(decoded.is_ok(), "{request}");
    }

    #[test]
    fn a_request_has_only_members_of_its_message() {
        let pool = json!({ "Id": "us-east-1_a", "Name": "tour", "Arn": "arn", "AutoVerifiedAttributes": ["email"] });
        let update = Value::Object(like(Operation::UpdateUserPool, &pool));
        assert_eq!(update, json!({ "AutoVerifiedAttributes": ["email"] }));
        assert_is_taken(Operation::UpdateUserPool, &update);
    }

    #[test]
    fn schema_attributes_have_the_names_of_the_request() {
        let schema = json!([
            { "Name": "sub", "Required": true }, { "Name": "email", "Required": true }, { "Name": "name", "Required": false },
            { "Name": "custom:team" }, { "Name": "dev:custom:plan", "DeveloperOnlyAttribute": true },
        ]);
        let names: Vec<_> = chosen_attributes(&schema).into_iter().map(|attribute| attribute["Name"].clone()).collect();
        assert_eq!(names, ["email", "team", "plan"]);
    }

    #[test]
    fn no_command_sets_generated_attributes() {
        let user = json!({ "Username": "jane", "Enabled": true, "UserAttributes": [
            { "Name": "sub", "Value": "1" }, { "Name": "email", "Value": "jane@example.com" },
        ]});
        let commands = of_user("us-east-1_a", &user);
        assert!(commands.iter().all(|command| !command.aws.contains("\"sub\"")));
        assert!(commands.iter().any(|command| command.aws.contains("admin-disable-user")));
        let client = json!({ "UserPoolId": "us-east-1_a", "ClientId": "c", "ClientName": "app" });
        assert!(of_client(&client, true)[1].grpcurl.contains("\"GenerateSecret\": true"));
        assert!(!of_client(&client, true)[1].grpcurl.contains("ClientId"));
    }
}
