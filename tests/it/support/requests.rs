//! A valid request of every built operation.

use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use userpool::api::aws_json::encode::encode;
use userpool::api::operation::{OperationInfo, Request};
use userpool::proto::descriptor_pool;

use super::wire;

/// The key of a device that nobody has.
const DEVICE: &str = "us-east-1_00000000-0000-4000-8000-000000000001";

/// A request of another operation with the same values in the fields that both have.
pub fn same_fields<From: Request, To: Request>(request: &From) -> To {
    let descriptor = descriptor_pool().get_message_by_name(From::OPERATION.info().request).expect("a message");
    let fields = DynamicMessage::decode(descriptor, request.encode_to_vec().as_slice()).expect("of its type");
    To::decode(wire::message_of(To::OPERATION.info().request, &encode(&fields))).expect("of its type")
}

/// A request that breaks no constraint, as JSON with Cognito's names.
pub fn base(info: &OperationInfo, pool: &str, client: &str) -> Value {
    match info.name {
        "CreateUserPool" => json!({ "PoolName": "boundaries" }),
        "DescribeUserPool" => json!({ "UserPoolId": pool }),
        "CreateUserPoolClient" => json!({ "UserPoolId": pool, "ClientName": "boundaries" }),
        "DescribeUserPoolClient" => json!({ "UserPoolId": pool, "ClientId": client }),
        "SignUp" => json!({ "ClientId": client, "Username": "boundaries", "Password": "Correct-horse-1" }),
        "ConfirmSignUp" => json!({ "ClientId": client, "Username": "boundaries", "ConfirmationCode": "000000" }),
        "InitiateAuth" => json!({
            "ClientId": client, "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": { "USERNAME": "nobody", "PASSWORD": "Correct-horse-1" },
        }),
        "GetUser" | "GlobalSignOut" | "DeleteUser" => json!({ "AccessToken": "not.a.token" }),
        "AdminGetUser"
        | "AdminDeleteUser"
        | "AdminConfirmSignUp"
        | "AdminUserGlobalSignOut"
        | "AdminEnableUser"
        | "AdminDisableUser" => json!({ "UserPoolId": pool, "Username": "nobody" }),
        "AdminCreateUser" => json!({ "UserPoolId": pool, "Username": "nobody", "MessageAction": "RESEND" }),
        "RespondToAuthChallenge" => json!({
            "ClientId": client, "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": "a session of nobody's",
            "ChallengeResponses": { "USERNAME": "nobody", "NEW_PASSWORD": "Correct-horse-1" },
        }),
        "AdminRespondToAuthChallenge" => json!({
            "UserPoolId": pool, "ClientId": client, "ChallengeName": "NEW_PASSWORD_REQUIRED",
            "Session": "a session of nobody's",
            "ChallengeResponses": { "USERNAME": "nobody", "NEW_PASSWORD": "Correct-horse-1" },
        }),
        "AdminLinkProviderForUser" => json!({
            "UserPoolId": pool,
            "DestinationUser": { "ProviderName": "Cognito", "ProviderAttributeValue": "nobody" },
            "SourceUser": {
                "ProviderName": "Google", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "1",
            },
        }),
        "AdminDisableProviderForUser" => json!({
            "UserPoolId": pool,
            "User": {
                "ProviderName": "Google", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "1",
            },
        }),
        "UpdateUserPool" | "GetUserPoolMfaConfig" | "GetSigningCertificate" => json!({ "UserPoolId": pool }),
        "SetUserPoolMfaConfig" => json!({ "UserPoolId": pool, "MfaConfiguration": "OFF" }),
        "AddCustomAttributes" => {
            json!({ "UserPoolId": pool, "CustomAttributes": [{ "Name": "boundaries", "AttributeDataType": "String" }] })
        }
        "TagResource" => json!({ "ResourceArn": arn(pool), "Tags": { "key": "value" } }),
        "UntagResource" => json!({ "ResourceArn": arn(pool), "TagKeys": ["key"] }),
        "ListTagsForResource" => json!({ "ResourceArn": arn(pool) }),
        // Names another pool: the one that all tests share must stay.
        "DeleteUserPool" => json!({ "UserPoolId": "us-east-1_nowhere00" }),
        "DeleteUserPoolClient" => json!({ "UserPoolId": pool, "ClientId": "nowhere" }),
        "ListUserPools" => json!({ "MaxResults": 10 }),
        "ListUserPoolClients" => json!({ "UserPoolId": pool }),
        "UpdateUserPoolClient" => json!({ "UserPoolId": pool, "ClientId": client }),
        "ResendConfirmationCode" => json!({ "ClientId": client, "Username": "nobody" }),
        "AdminInitiateAuth" => json!({
            "UserPoolId": pool, "ClientId": client, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": { "USERNAME": "nobody", "PASSWORD": "Correct-horse-1" },
        }),
        "ForgotPassword" => json!({ "ClientId": client, "Username": "nobody" }),
        "ConfirmForgotPassword" => json!({
            "ClientId": client, "Username": "nobody", "ConfirmationCode": "000000", "Password": "Correct-horse-1",
        }),
        "ChangePassword" => json!({
            "AccessToken": "not.a.token", "PreviousPassword": "Correct-horse-1", "ProposedPassword": "Correct-horse-1",
        }),
        "AdminSetUserPassword" => {
            json!({ "UserPoolId": pool, "Username": "nobody", "Password": "Correct-horse-1", "Permanent": true })
        }
        "AdminResetUserPassword" => json!({ "UserPoolId": pool, "Username": "nobody" }),
        "UpdateUserAttributes" => json!({
            "AccessToken": "not.a.token", "UserAttributes": [{ "Name": "name", "Value": "Jane" }],
        }),
        "DeleteUserAttributes" => json!({ "AccessToken": "not.a.token", "UserAttributeNames": ["name"] }),
        "GetUserAttributeVerificationCode" => json!({ "AccessToken": "not.a.token", "AttributeName": "email" }),
        "VerifyUserAttribute" => {
            json!({ "AccessToken": "not.a.token", "AttributeName": "email", "Code": "000000" })
        }
        "AdminUpdateUserAttributes" => json!({
            "UserPoolId": pool, "Username": "nobody", "UserAttributes": [{ "Name": "name", "Value": "Jane" }],
        }),
        "AdminDeleteUserAttributes" => {
            json!({ "UserPoolId": pool, "Username": "nobody", "UserAttributeNames": ["name"] })
        }
        "AssociateSoftwareToken" => json!({ "AccessToken": "not.a.token" }),
        "VerifySoftwareToken" => json!({ "AccessToken": "not.a.token", "UserCode": "000000" }),
        "SetUserMFAPreference" => {
            json!({ "AccessToken": "not.a.token", "SMSMfaSettings": { "Enabled": false } })
        }
        "AdminSetUserMFAPreference" => {
            json!({ "UserPoolId": pool, "Username": "nobody", "SMSMfaSettings": { "Enabled": false } })
        }
        "SetUserSettings" => json!({ "AccessToken": "not.a.token", "MFAOptions": [sms()] }),
        "AdminSetUserSettings" => json!({ "UserPoolId": pool, "Username": "nobody", "MFAOptions": [sms()] }),
        "GetUserAuthFactors" | "StartWebAuthnRegistration" | "ListWebAuthnCredentials" => {
            json!({ "AccessToken": "not.a.token" })
        }
        "CompleteWebAuthnRegistration" => json!({ "AccessToken": "not.a.token", "Credential": { "id": "AAAA" } }),
        "DeleteWebAuthnCredential" => json!({ "AccessToken": "not.a.token", "CredentialId": "AAAA" }),
        "RevokeToken" => json!({ "ClientId": client, "Token": "not.a.token" }),
        "GetTokensFromRefreshToken" => json!({ "ClientId": client, "RefreshToken": "not.a.token" }),
        "CreateGroup" | "GetGroup" | "UpdateGroup" | "DeleteGroup" | "ListUsersInGroup" => {
            json!({ "UserPoolId": pool, "GroupName": "boundaries" })
        }
        "ListGroups" | "ListUsers" => json!({ "UserPoolId": pool }),
        "AdminAddUserToGroup" | "AdminRemoveUserFromGroup" => {
            json!({ "UserPoolId": pool, "GroupName": "boundaries", "Username": "nobody" })
        }
        "AdminListGroupsForUser" => json!({ "UserPoolId": pool, "Username": "nobody" }),
        "ConfirmDevice" | "ForgetDevice" | "GetDevice" | "UpdateDeviceStatus" => {
            json!({ "AccessToken": "not.a.token", "DeviceKey": DEVICE })
        }
        "ListDevices" => json!({ "AccessToken": "not.a.token" }),
        "AdminForgetDevice" | "AdminGetDevice" | "AdminUpdateDeviceStatus" => {
            json!({ "UserPoolId": pool, "Username": "nobody", "DeviceKey": DEVICE })
        }
        "AdminListDevices" => json!({ "UserPoolId": pool, "Username": "nobody" }),
        other => panic!("{other} is built: add a request of it that breaks no constraint"),
    }
}

/// SMS to the phone number, in the older form of a second factor.
fn sms() -> Value {
    json!({ "DeliveryMedium": "SMS", "AttributeName": "phone_number" })
}

/// The ARN of a pool of the server under test.
fn arn(pool: &str) -> String {
    format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{pool}")
}
