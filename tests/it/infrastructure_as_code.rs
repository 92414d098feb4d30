//! The requests that AWS CDK and Amplify Gen 2 make through CloudFormation. `tests/clients/terraform_scenario.sh` runs
//! Terraform itself.

use serde_json::{Value, json};

use crate::support::client::Api;

/// The texts that CDK writes into every pool, in the older members and in the newer one.
fn messages() -> Value {
    let (message, subject) = ("Here is the code of your account: {####}", "A new account");
    json!({
        "EmailVerificationMessage": message,
        "EmailVerificationSubject": subject,
        "SmsVerificationMessage": message,
        "VerificationMessageTemplate": {
            "DefaultEmailOption": "CONFIRM_WITH_CODE", "EmailMessage": message, "EmailSubject": subject,
            "SmsMessage": message,
        },
    })
}

fn with(mut base: Value, more: Value) -> Value {
    let members = base.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    base
}

/// The request of CDK for `new UserPool(this, 'Pool')`.
fn cdk_default() -> Value {
    let recovery = json!([
        { "Name": "verified_phone_number", "Priority": 1 },
        { "Name": "verified_email", "Priority": 2 },
    ]);
    with(
        messages(),
        json!({
            "PoolName": "Pool", "AccountRecoverySetting": { "RecoveryMechanisms": recovery },
            "AdminCreateUserConfig": { "AllowAdminCreateUserOnly": true },
        }),
    )
}

/// The SMS configuration that CDK adds to a pool that needs one.
fn sms_configuration() -> Value {
    json!({ "ExternalId": "StackPool1A2B3C4D", "SnsCallerArn": "arn:aws:iam::123456789012:role/pool-sms" })
}

/// A pool of CDK with what people switch on most: self sign-up by e-mail, attributes of their own, second factors.
fn cdk_customised() -> Value {
    with(
        cdk_default(),
        json!({
            "AdminCreateUserConfig": {
                "AllowAdminCreateUserOnly": false,
                "InviteMessageTemplate": { "EmailMessage": "Come in, {username}: {####}" },
            },
            "AutoVerifiedAttributes": ["email"],
            "DeletionProtection": "INACTIVE",
            "DeviceConfiguration": { "ChallengeRequiredOnNewDevice": true, "DeviceOnlyRememberedOnUserPrompt": true },
            "EmailConfiguration": { "EmailSendingAccount": "COGNITO_DEFAULT", "ReplyToEmailAddress": "a@example.com" },
            "MfaConfiguration": "OPTIONAL",
            "Policies": {
                "PasswordPolicy": { "MinimumLength": 12 },
                "SignInPolicy": { "AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP", "SMS_OTP"] },
            },
            "Schema": [
                { "Mutable": true, "Name": "email", "Required": true },
                {
                    "AttributeDataType": "String", "Mutable": true, "Name": "plan",
                    "StringAttributeConstraints": { "MaxLength": "9", "MinLength": "1" },
                },
                {
                    "AttributeDataType": "Number", "Name": "level",
                    "NumberAttributeConstraints": { "MaxValue": "5", "MinValue": "1" },
                },
                { "AttributeDataType": "Boolean", "Name": "member" },
                { "AttributeDataType": "DateTime", "Name": "since" },
            ],
            "SmsConfiguration": sms_configuration(),
            "UserAttributeUpdateSettings": { "AttributesRequireVerificationBeforeUpdate": ["email"] },
            "UserPoolTags": { "stack": "people" },
            "UserPoolTier": "ESSENTIALS",
            "UsernameAttributes": ["email"],
        }),
    )
}

/// The pool of Amplify Gen 2 for `defineAuth({ loginWith: { email: true } })`.
fn amplify_default() -> Value {
    with(
        messages(),
        json!({
            "PoolName": "amplify", "AccountRecoverySetting":
                { "RecoveryMechanisms": [{ "Name": "verified_email", "Priority": 1 }] },
            "AdminCreateUserConfig": { "AllowAdminCreateUserOnly": false },
            "AutoVerifiedAttributes": ["email"],
            "Policies": { "PasswordPolicy": {
                "MinimumLength": 8, "RequireLowercase": true, "RequireNumbers": true, "RequireSymbols": true,
                "RequireUppercase": true,
            } },
            "Schema": [{ "Mutable": true, "Name": "email", "Required": true }],
            "UserAttributeUpdateSettings": { "AttributesRequireVerificationBeforeUpdate": ["email"] },
            "UserPoolTags": { "amplify:app-id": "app", "amplify:branch-name": "main" },
            "UsernameAttributes": ["email"],
            "UsernameConfiguration": { "CaseSensitive": false },
        }),
    )
}

const SCOPES: [&str; 5] = ["profile", "phone", "email", "openid", "aws.cognito.signin.user.admin"];

/// The request of CDK for `pool.addClient('Client')`.
fn cdk_client() -> Value {
    json!({
        "ClientName": "Client-AbCdEf", "AllowedOAuthFlows": ["implicit", "code"], "AllowedOAuthScopes": SCOPES,
        "AllowedOAuthFlowsUserPoolClient": true, "CallbackURLs": ["https://example.com"],
        "SupportedIdentityProviders": ["COGNITO"],
    })
}

/// The client of Amplify Gen 2.
fn amplify_client() -> Value {
    with(
        cdk_client(),
        json!({
            "AllowedOAuthFlows": ["code"], "PreventUserExistenceErrors": "ENABLED",
            "ExplicitAuthFlows": ["ALLOW_CUSTOM_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        }),
    )
}

/// A client of CDK with every property whose feature is built or stored.
fn cdk_customised_client() -> Value {
    with(
        cdk_client(),
        json!({
            "AccessTokenValidity": 60, "IdTokenValidity": 60, "RefreshTokenValidity": 43_200,
            "TokenValidityUnits": { "AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "minutes" },
            "AllowedOAuthFlows": ["code"], "AllowedOAuthScopes": ["openid"],
            "CallbackURLs": ["http://localhost:3000"], "LogoutURLs": ["http://localhost:3000/out"],
            "DefaultRedirectURI": "http://localhost:3000",
            "AuthSessionValidity": 3, "EnableTokenRevocation": true, "PreventUserExistenceErrors": "ENABLED",
            "ExplicitAuthFlows": [
                "ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH",
                "ALLOW_USER_SRP_AUTH", "ALLOW_USER_AUTH", "ALLOW_REFRESH_TOKEN_AUTH",
            ],
            "ReadAttributes": ["custom:plan", "email", "email_verified"], "WriteAttributes": ["custom:plan", "email"],
        }),
    )
}

async fn must(api: &Api, operation: &str, request: &Value) -> Value {
    let answer = api.aws_json(operation, request).await;
    assert_eq!(answer.status, 200, "{operation} {request}: {}", answer.text());
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

/// Asserts that the shown value contains everything that was requested; the server may show more.
#[track_caller]
fn assert_shown(asked: &Value, shown: &Value, path: &str) {
    match asked {
        Value::Object(members) => {
            for (name, value) in members {
                assert_shown(value, &shown[name], &format!("{path}.{name}"));
            }
        }
        _ => assert_eq!(asked, shown, "{path}"),
    }
}

/// A requested pool, with the names under which the members are shown.
fn shown_as(request: &Value) -> Value {
    let mut expected = request.clone();
    let members = expected.as_object_mut().expect("an object");
    let name = members.remove("PoolName").expect("a name");
    members.insert("Name".to_owned(), name);
    members.remove("Schema");
    expected
}

#[tokio::test]
async fn what_cdk_and_amplify_ask_for_is_taken_and_shown_as_it_was_given() {
    let api = Api::connect().await;
    for (pool, client) in [
        (cdk_default(), cdk_client()),
        (cdk_customised(), cdk_customised_client()),
        (amplify_default(), amplify_client()),
    ] {
        let created = must(&api, "CreateUserPool", &pool).await;
        let id = created["UserPool"]["Id"].clone();
        let described = must(&api, "DescribeUserPool", &json!({ "UserPoolId": id })).await["UserPool"].clone();
        assert_shown(&shown_as(&pool), &described, "UserPool");
        let client = with(client, json!({ "UserPoolId": id }));
        let created = must(&api, "CreateUserPoolClient", &client).await["UserPoolClient"].clone();
        assert_shown(&client, &created, "UserPoolClient");
        let ids = json!({ "UserPoolId": id, "ClientId": created["ClientId"] });
        let described = must(&api, "DescribeUserPoolClient", &ids).await["UserPoolClient"].clone();
        assert_shown(&client, &described, "UserPoolClient");
        // Applying the same stack again changes nothing.
        let update = with(client, ids);
        assert_eq!(must(&api, "UpdateUserPoolClient", &update).await["UserPoolClient"], described);
    }
}

#[tokio::test]
async fn the_second_factors_of_a_stack_are_set_after_its_pool() {
    let api = Api::connect().await;
    let off = must(&api, "CreateUserPool", &amplify_default()).await["UserPool"]["Id"].clone();
    let request = json!({ "UserPoolId": off, "MfaConfiguration": "OFF" });
    assert_eq!(must(&api, "SetUserPoolMfaConfig", &request).await, json!({ "MfaConfiguration": "OFF" }));

    let id = must(&api, "CreateUserPool", &cdk_customised()).await["UserPool"]["Id"].clone();
    let factors = json!({
        "MfaConfiguration": "OPTIONAL",
        "SmsMfaConfiguration": { "SmsConfiguration": sms_configuration() },
        "SoftwareTokenMfaConfiguration": { "Enabled": true },
        "EmailMfaConfiguration": { "Message": "Sign in by {####}", "Subject": "Sign in" },
        "WebAuthnConfiguration": { "RelyingPartyId": "example.com", "UserVerification": "preferred" },
    });
    let set = must(&api, "SetUserPoolMfaConfig", &with(factors.clone(), json!({ "UserPoolId": id }))).await;
    assert_eq!(set, factors);
    let pool = json!({ "UserPoolId": id });
    assert_eq!(must(&api, "GetUserPoolMfaConfig", &pool).await, factors);
    // An update of the stack names all members that CDK knows, and leaves the factors as they are.
    let mut update = with(cdk_customised(), pool.clone());
    for fixed in ["PoolName", "Schema", "UsernameAttributes"] {
        update.as_object_mut().expect("an object").remove(fixed);
    }
    must(&api, "UpdateUserPool", &update).await;
    assert_eq!(must(&api, "GetUserPoolMfaConfig", &pool).await, factors);
}

#[tokio::test]
async fn what_a_template_asks_for_and_is_not_built_is_refused_by_its_name() {
    let api = Api::connect().await;
    let function = "arn:aws:lambda:us-east-1:123456789012:function:hook";
    let sender = json!({ "LambdaVersion": "V1_0", "LambdaArn": function });
    for (more, name) in [
        (json!({ "LambdaConfig": { "CustomEmailSender": sender } }), "LambdaConfig.CustomEmailSender"),
        (
            json!({ "UserPoolAddOns": { "AdvancedSecurityMode": "ENFORCED" } }),
            "UserPoolAddOns.AdvancedSecurityMode ENFORCED",
        ),
    ] {
        let answer = api.aws_json("CreateUserPool", &with(cdk_default(), more)).await;
        let message = format!("{name} is not supported by this server yet.");
        assert_eq!(answer.exception(), ("InvalidParameterException".to_owned(), message));
    }
}
