//! The use cases on a store of this cluster, called in this process: only the rules and the store.

use std::sync::Arc;

use userpool::api::operation::UseCase;
use userpool::app::caller::Caller;
use userpool::app::hashing::{Cost, Hasher};
use userpool::app::{App, Identity, Settings};
use userpool::domain::error::{Error, Exception};
use userpool::domain::message::Medium;
use userpool::limits::Allowances;
use userpool::proto::v1;
use userpool::store::Store;
use userpool::store::outbox::Turn;
use userpool::triggers::Triggers;

use crate::support::mfa::Authenticator;
use crate::support::pool::text_attribute;

pub const PASSWORD: &str = "Correct-horse-1";
pub const WRONG_PASSWORD: &str = "Wrong-horse-1";

/// An application as in a server, except that a hash is very cheap.
pub fn app(store: Store) -> Arc<App> {
    app_with(store, Settings { allowances: Allowances::development(), ..Settings::default() })
}

/// The same, with settings that an operator chose.
pub fn app_with(store: Store, settings: Settings) -> Arc<App> {
    app_of_cost(store, Cost { memory: 64, passes: 1, lanes: 1 }, settings)
}

/// The same, with hashes of another cost.
pub fn app_of_cost(store: Store, cost: Cost, settings: Settings) -> Arc<App> {
    let identity = Identity {
        public_url: "http://127.0.0.1".to_owned(),
        account_id: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
    };
    App::with_settings(store, identity, Hasher::new(cost, 4), settings, Triggers::default())
}

pub fn caller(operation: &'static str) -> Caller {
    Caller {
        developer: None,
        address: Some(std::net::IpAddr::from([203, 0, 113, 7])),
        request_id: "request".to_owned(),
        trace_context: None,
        region: None,
        patience: None,
        operation,
        idempotency_key: None,
        command: None,
        asked: Default::default(),
    }
}

/// Runs the use case of a request.
pub async fn call<Request: UseCase>(app: &App, request: Request) -> Answer<Request::Response> {
    request.run(app, &caller(Request::OPERATION.info().name)).await.map_err(exception)
}

/// The exception of an error. Prints the log line of the server, since a test that fails here has no other information.
pub fn exception(error: Error) -> Exception {
    if let Some(cause) = &error.cause {
        eprintln!("{:?}: {cause:?}", error.exception);
    }
    error.exception
}

pub type Answer<T = ()> = Result<T, Exception>;

/// A pool whose users verify their e-mail address, which then is an alias.
pub fn pool_request() -> v1::CreateUserPoolRequest {
    let email = || vec!["email".to_owned()];
    v1::CreateUserPoolRequest {
        pool_name: Some("pool".to_owned()),
        auto_verified_attributes: email(),
        alias_attributes: email(),
        ..Default::default()
    }
}

/// The same, with devices tracked.
pub fn tracking_pool_request() -> v1::CreateUserPoolRequest {
    v1::CreateUserPoolRequest { device_configuration: Some(Default::default()), ..pool_request() }
}

pub async fn create_pool(app: &App, request: v1::CreateUserPoolRequest) -> Answer<String> {
    let created = call(app, request).await?;
    Ok(created.user_pool.and_then(|pool| pool.id).expect("a pool has an id"))
}

pub async fn create_client(app: &App, pool: &str) -> Answer<String> {
    let request = v1::CreateUserPoolClientRequest {
        user_pool_id: Some(pool.to_owned()),
        client_name: Some("client".to_owned()),
        explicit_auth_flows: ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
            .map(str::to_owned)
            .into(),
        ..Default::default()
    };
    let created = call(app, request).await?;
    Ok(created.user_pool_client.and_then(|client| client.client_id).expect("a client has an id"))
}

/// Signs a user up and returns their `sub`.
pub async fn sign_up(app: &App, client: &str, name: &str, email: &str) -> Answer<String> {
    let email = v1::AttributeType { name: Some("email".to_owned()), value: Some(email.to_owned()) };
    let request = v1::SignUpRequest {
        client_id: Some(client.to_owned()),
        username: Some(name.to_owned()),
        password: Some(PASSWORD.to_owned()),
        user_attributes: vec![email],
        ..Default::default()
    };
    let signed_up = call(app, request).await?;
    Ok(signed_up.user_sub.expect("a user has a sub"))
}

/// The last code that was sent to each user, by `sub`. Empties the outbox.
pub async fn sent_codes(app: &App) -> Vec<(String, String)> {
    let mut codes = Vec::new();
    // A user's messages go one after the other; one whose code was replaced is dropped.
    while waiting(app).await {
        let mut claimed = Vec::new();
        for medium in [Medium::Email, Medium::Sms] {
            let next = app.store.claim_messages(medium, &mut Turn::default(), app.clock.now(), 1_000).await;
            claimed.extend(next.expect("the outbox can be read"));
        }
        for message in claimed {
            app.store.message_delivered(&message).await.expect("the message is delivered");
            codes.extend(message.message.code.map(|code| (message.owner.to_string(), code)));
        }
    }
    codes
}

/// Whether a message is due.
async fn waiting(app: &App) -> bool {
    let due = "select exists (select from outbox where not dead and next_at <= now())";
    sqlx::query_scalar(due).fetch_one(app.store.database()).await.expect("the outbox can be read")
}

pub async fn confirm(app: &App, client: &str, name: &str, code: &str, force: bool) -> Answer {
    let request = v1::ConfirmSignUpRequest {
        client_id: Some(client.to_owned()),
        username: Some(name.to_owned()),
        confirmation_code: Some(code.to_owned()),
        force_alias_creation: Some(force),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn resend(app: &App, client: &str, name: &str) -> Answer {
    let request = v1::ResendConfirmationCodeRequest {
        client_id: Some(client.to_owned()),
        username: Some(name.to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

/// An access token and a refresh token, with the key of the device that the sign-in gave out.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
    pub device: Option<String>,
}

async fn initiate(app: &App, client: &str, name: &str, password: &str) -> Answer<v1::InitiateAuthResponse> {
    let parameters = [("USERNAME", name), ("PASSWORD", password)];
    let request = v1::InitiateAuthRequest {
        client_id: Some(client.to_owned()),
        auth_flow: Some("USER_PASSWORD_AUTH".to_owned()),
        auth_parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    call(app, request).await
}

fn tokens(tokens: Option<v1::AuthenticationResultType>) -> Tokens {
    let tokens = tokens.expect("tokens");
    Tokens {
        access: tokens.access_token.expect("an access token"),
        refresh: tokens.refresh_token.expect("a refresh token"),
        device: tokens.new_device_metadata.and_then(|device| device.device_key),
    }
}

/// Signs in. Replaces a temporary password on the way.
pub async fn sign_in(app: &App, client: &str, name: &str, password: &str) -> Answer<Tokens> {
    let answer = initiate(app, client, name, password).await?;
    match answer.session {
        Some(session) => new_password(app, client, name, &session).await,
        None => Ok(tokens(answer.authentication_result)),
    }
}

pub fn admin_sign_in_request(pool: &str, client: &str, name: &str) -> v1::AdminInitiateAuthRequest {
    let parameters = [("USERNAME", name), ("PASSWORD", PASSWORD)];
    v1::AdminInitiateAuthRequest {
        user_pool_id: Some(pool.to_owned()),
        client_id: Some(client.to_owned()),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".to_owned()),
        auth_parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Default::default()
    }
}

/// Signs in as a trusted server does.
pub async fn admin_sign_in(app: &App, pool: &str, client: &str, name: &str) -> Answer<Tokens> {
    let request = admin_sign_in_request(pool, client, name);
    Ok(tokens(call(app, request).await?.authentication_result))
}

/// The session of a challenge.
pub async fn challenge(app: &App, client: &str, name: &str, password: &str) -> Answer<String> {
    Ok(initiate(app, client, name, password).await?.session.expect("a challenge"))
}

pub async fn new_password(app: &App, client: &str, name: &str, session: &str) -> Answer<Tokens> {
    let responses = [("USERNAME", name), ("NEW_PASSWORD", PASSWORD)];
    respond(app, client, ("NEW_PASSWORD_REQUIRED", session), responses).await
}

/// Answers SOFTWARE_TOKEN_MFA.
pub async fn give_app_code(app: &App, client: &str, name: &str, session: &str, code: &str) -> Answer<Tokens> {
    let responses = [("USERNAME", name), ("SOFTWARE_TOKEN_MFA_CODE", code)];
    respond(app, client, ("SOFTWARE_TOKEN_MFA", session), responses).await
}

async fn respond(
    app: &App,
    client: &str,
    (challenge, session): (&str, &str),
    responses: [(&str, &str); 2],
) -> Answer<Tokens> {
    let request = v1::RespondToAuthChallengeRequest {
        client_id: Some(client.to_owned()),
        challenge_name: Some(challenge.to_owned()),
        session: Some(session.to_owned()),
        challenge_responses: responses.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    Ok(tokens(call(app, request).await?.authentication_result))
}

/// Creates a user with a temporary password and a verified address. Returns their `sub`.
pub async fn admin_create(app: &App, pool: &str, name: &str, email: &str, force: bool) -> Answer<String> {
    let attributes = [("email", email), ("email_verified", "true")];
    let request = v1::AdminCreateUserRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        user_attributes: attributes
            .map(|(name, value)| v1::AttributeType { name: Some(name.to_owned()), value: Some(value.to_owned()) })
            .into(),
        temporary_password: Some(PASSWORD.to_owned()),
        force_alias_creation: Some(force),
        desired_delivery_mediums: vec!["EMAIL".to_owned()],
        ..Default::default()
    };
    let created = call(app, request).await?;
    let attributes = created.user.expect("a user").attributes;
    let sub = attributes.into_iter().find(|attribute| attribute.name() == "sub");
    Ok(sub.and_then(|sub| sub.value).expect("a user has a sub"))
}

pub async fn invite_again(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::AdminCreateUserRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        temporary_password: Some(PASSWORD.to_owned()),
        message_action: Some("RESEND".to_owned()),
        desired_delivery_mediums: vec!["EMAIL".to_owned()],
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn admin_disable(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::AdminDisableUserRequest { user_pool_id: Some(pool.to_owned()), username: Some(name.to_owned()) };
    call(app, request).await.map(drop)
}

pub async fn admin_enable(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::AdminEnableUserRequest { user_pool_id: Some(pool.to_owned()), username: Some(name.to_owned()) };
    call(app, request).await.map(drop)
}

fn provider_user(provider: &str, value: &str) -> Option<v1::ProviderUserIdentifierType> {
    Some(v1::ProviderUserIdentifierType {
        provider_name: Some(provider.to_owned()),
        provider_attribute_name: Some("Cognito_Subject".to_owned()),
        provider_attribute_value: Some(value.to_owned()),
    })
}

pub async fn link(app: &App, pool: &str, name: &str, identity: &str) -> Answer {
    let request = v1::AdminLinkProviderForUserRequest {
        user_pool_id: Some(pool.to_owned()),
        destination_user: provider_user("Cognito", name),
        source_user: provider_user("Google", identity),
    };
    call(app, request).await.map(drop)
}

pub async fn unlink(app: &App, pool: &str, identity: &str) -> Answer {
    let request = v1::AdminDisableProviderForUserRequest {
        user_pool_id: Some(pool.to_owned()),
        user: provider_user("Google", identity),
    };
    call(app, request).await.map(drop)
}

pub async fn refresh(app: &App, client: &str, tokens: &Tokens) -> Answer {
    let request = v1::GetTokensFromRefreshTokenRequest {
        client_id: Some(client.to_owned()),
        refresh_token: Some(tokens.refresh.clone()),
        device_key: tokens.device.clone(),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn revoke(app: &App, client: &str, token: &str) -> Answer {
    let request = v1::RevokeTokenRequest {
        client_id: Some(client.to_owned()),
        token: Some(token.to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn confirm_device(app: &App, tokens: &Tokens) -> Answer {
    let request = v1::ConfirmDeviceRequest {
        access_token: Some(tokens.access.clone()),
        device_key: tokens.device.clone(),
        device_name: Some("a phone".to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

/// Signs in with a device.
pub async fn sign_in_with(app: &App, client: &str, name: &str, device: &str) -> Answer<Tokens> {
    let parameters = [("USERNAME", name), ("PASSWORD", PASSWORD), ("DEVICE_KEY", device)];
    let request = v1::InitiateAuthRequest {
        client_id: Some(client.to_owned()),
        auth_flow: Some("USER_PASSWORD_AUTH".to_owned()),
        auth_parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    let signed_in = tokens(call(app, request).await?.authentication_result);
    Ok(Tokens { device: signed_in.device.clone().or(Some(device.to_owned())), ..signed_in })
}

pub async fn update_device(app: &App, tokens: &Tokens, remembered: bool) -> Answer {
    let status = if remembered { "remembered" } else { "not_remembered" };
    let request = v1::UpdateDeviceStatusRequest {
        access_token: Some(tokens.access.clone()),
        device_key: tokens.device.clone(),
        device_remembered_status: Some(status.to_owned()),
    };
    call(app, request).await.map(drop)
}

pub async fn forget_device(app: &App, tokens: &Tokens) -> Answer {
    let request =
        v1::ForgetDeviceRequest { access_token: Some(tokens.access.clone()), device_key: tokens.device.clone() };
    call(app, request).await.map(drop)
}

pub async fn sign_out(app: &App, token: &str) -> Answer {
    let request = v1::GlobalSignOutRequest { access_token: Some(token.to_owned()) };
    call(app, request).await.map(drop)
}

pub async fn delete_user(app: &App, token: &str) -> Answer {
    let request = v1::DeleteUserRequest { access_token: Some(token.to_owned()) };
    call(app, request).await.map(drop)
}

pub async fn admin_sign_out(app: &App, pool: &str, name: &str) -> Answer {
    let request =
        v1::AdminUserGlobalSignOutRequest { user_pool_id: Some(pool.to_owned()), username: Some(name.to_owned()) };
    call(app, request).await.map(drop)
}

pub async fn admin_confirm(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::AdminConfirmSignUpRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn admin_delete(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::AdminDeleteUserRequest { user_pool_id: Some(pool.to_owned()), username: Some(name.to_owned()) };
    call(app, request).await.map(drop)
}

pub async fn sub_of(app: &App, token: &str) -> Answer<String> {
    let user = call(app, v1::GetUserRequest { access_token: Some(token.to_owned()) }).await?;
    Ok(user.user_attributes[0].value().to_owned())
}

fn attributes(values: &[(&str, &str)]) -> Vec<v1::AttributeType> {
    let attribute = |(name, value): &(&str, &str)| v1::AttributeType {
        name: Some((*name).to_owned()),
        value: Some((*value).to_owned()),
    };
    values.iter().map(attribute).collect()
}

pub async fn change_email(app: &App, token: &str, email: &str) -> Answer {
    let request = v1::UpdateUserAttributesRequest {
        access_token: Some(token.to_owned()),
        user_attributes: attributes(&[("email", email), ("nickname", email)]),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn ask_for_code(app: &App, token: &str) -> Answer {
    let request = v1::GetUserAttributeVerificationCodeRequest {
        access_token: Some(token.to_owned()),
        attribute_name: Some("email".to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn prove_email(app: &App, token: &str, code: &str) -> Answer {
    let request = v1::VerifyUserAttributeRequest {
        access_token: Some(token.to_owned()),
        attribute_name: Some("email".to_owned()),
        code: Some(code.to_owned()),
    };
    call(app, request).await.map(drop)
}

pub async fn delete_attributes(app: &App, token: &str) -> Answer {
    let request = v1::DeleteUserAttributesRequest {
        access_token: Some(token.to_owned()),
        user_attribute_names: vec!["nickname".to_owned()],
    };
    call(app, request).await.map(drop)
}

pub async fn admin_set_email(app: &App, pool: &str, name: &str, email: &str, verified: bool) -> Answer {
    let request = v1::AdminUpdateUserAttributesRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        user_attributes: attributes(&[("email", email), ("email_verified", if verified { "true" } else { "false" })]),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn admin_delete_email(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::AdminDeleteUserAttributesRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        user_attribute_names: vec!["email".to_owned()],
    };
    call(app, request).await.map(drop)
}

pub async fn forgot(app: &App, client: &str, name: &str) -> Answer {
    let request = v1::ForgotPasswordRequest {
        client_id: Some(client.to_owned()),
        username: Some(name.to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn recover(app: &App, client: &str, name: &str, code: &str) -> Answer {
    let request = v1::ConfirmForgotPasswordRequest {
        client_id: Some(client.to_owned()),
        username: Some(name.to_owned()),
        confirmation_code: Some(code.to_owned()),
        password: Some(PASSWORD.to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

/// Changes the password to the same one, so that other commands can still sign in.
pub async fn change_password(app: &App, token: &str) -> Answer {
    let request = v1::ChangePasswordRequest {
        access_token: Some(token.to_owned()),
        previous_password: Some(PASSWORD.to_owned()),
        proposed_password: Some(PASSWORD.to_owned()),
    };
    call(app, request).await.map(drop)
}

/// Sets up an authenticator app and turns it on.
pub async fn set_up_app(app: &App, token: &str) -> Answer<Authenticator> {
    let token = Some(token.to_owned());
    let request = v1::AssociateSoftwareTokenRequest { access_token: token.clone(), session: None };
    let secret = call(app, request).await?.secret_code.expect("a secret");
    let authenticator = Authenticator::with(&secret);
    let verify = v1::VerifySoftwareTokenRequest {
        access_token: token.clone(),
        user_code: Some(authenticator.code(0)),
        ..Default::default()
    };
    call(app, verify).await?;
    let on = v1::SoftwareTokenMfaSettingsType { enabled: Some(true), preferred_mfa: Some(true) };
    let preference = v1::SetUserMfaPreferenceRequest {
        access_token: token,
        software_token_mfa_settings: Some(on),
        ..Default::default()
    };
    call(app, preference).await.map(|_| authenticator)
}

pub async fn admin_set_password(app: &App, pool: &str, name: &str, permanent: bool) -> Answer {
    let request = v1::AdminSetUserPasswordRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        password: Some(PASSWORD.to_owned()),
        permanent: Some(permanent),
    };
    call(app, request).await.map(drop)
}

pub async fn admin_reset_password(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::AdminResetUserPasswordRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn update_pool(app: &App, pool: &str, subject: Option<&str>) -> Answer {
    let request = v1::UpdateUserPoolRequest {
        user_pool_id: Some(pool.to_owned()),
        auto_verified_attributes: vec!["email".to_owned()],
        email_verification_subject: subject.map(str::to_owned),
        device_configuration: Some(Default::default()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn add_attribute(app: &App, pool: &str, name: &str) -> Answer {
    let attribute = text_attribute(name);
    let request =
        v1::AddCustomAttributesRequest { user_pool_id: Some(pool.to_owned()), custom_attributes: vec![attribute] };
    call(app, request).await.map(drop)
}

fn arn(app: &App, pool: &str) -> String {
    let identity = &app.identity;
    format!("arn:aws:cognito-idp:{}:{}:userpool/{pool}", identity.region, identity.account_id)
}

pub async fn tag(app: &App, pool: &str, key: &str) -> Answer {
    let tags = [(key.to_owned(), "value".to_owned())].into();
    call(app, v1::TagResourceRequest { resource_arn: Some(arn(app, pool)), tags }).await.map(drop)
}

pub async fn untag(app: &App, pool: &str, key: &str) -> Answer {
    let request = v1::UntagResourceRequest { resource_arn: Some(arn(app, pool)), tag_keys: vec![key.to_owned()] };
    call(app, request).await.map(drop)
}

pub async fn set_mfa(app: &App, pool: &str, optional: bool) -> Answer {
    let request = v1::SetUserPoolMfaConfigRequest {
        user_pool_id: Some(pool.to_owned()),
        mfa_configuration: Some(if optional { "OPTIONAL" } else { "OFF" }.to_owned()),
        software_token_mfa_configuration: optional.then_some(v1::SoftwareTokenMfaConfigType { enabled: Some(true) }),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn update_client(app: &App, pool: &str, client: &str, rotates: bool) -> Answer {
    let flows: &[&str] = if rotates { &[] } else { &["ALLOW_REFRESH_TOKEN_AUTH"] };
    let rotation =
        v1::RefreshTokenRotationType { feature: Some("ENABLED".to_owned()), retry_grace_period_seconds: Some(0) };
    let request = v1::UpdateUserPoolClientRequest {
        user_pool_id: Some(pool.to_owned()),
        client_id: Some(client.to_owned()),
        explicit_auth_flows: flows.iter().chain(&["ALLOW_USER_PASSWORD_AUTH"]).map(|flow| (*flow).to_owned()).collect(),
        refresh_token_rotation: rotates.then_some(rotation),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn delete_client(app: &App, pool: &str, client: &str) -> Answer {
    let request =
        v1::DeleteUserPoolClientRequest { user_pool_id: Some(pool.to_owned()), client_id: Some(client.to_owned()) };
    call(app, request).await.map(drop)
}

pub async fn delete_pool(app: &App, pool: &str) -> Answer {
    let request = v1::DeleteUserPoolRequest { user_pool_id: Some(pool.to_owned()) };
    call(app, request).await.map(drop)
}

pub async fn create_group(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::CreateGroupRequest {
        user_pool_id: Some(pool.to_owned()),
        group_name: Some(name.to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn update_group(app: &App, pool: &str, name: &str, precedence: i32) -> Answer {
    let request = v1::UpdateGroupRequest {
        user_pool_id: Some(pool.to_owned()),
        group_name: Some(name.to_owned()),
        precedence: Some(precedence),
        ..Default::default()
    };
    call(app, request).await.map(drop)
}

pub async fn delete_group(app: &App, pool: &str, name: &str) -> Answer {
    let request = v1::DeleteGroupRequest { user_pool_id: Some(pool.to_owned()), group_name: Some(name.to_owned()) };
    call(app, request).await.map(drop)
}

pub async fn join_group(app: &App, pool: &str, name: &str, group: &str) -> Answer {
    let request = v1::AdminAddUserToGroupRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        group_name: Some(group.to_owned()),
    };
    call(app, request).await.map(drop)
}

pub async fn leave_group(app: &App, pool: &str, name: &str, group: &str) -> Answer {
    let request = v1::AdminRemoveUserFromGroupRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        group_name: Some(group.to_owned()),
    };
    call(app, request).await.map(drop)
}

/// How many members a group has.
pub async fn members(app: &App, pool: &str, group: &str) -> Answer<usize> {
    let request = v1::ListUsersInGroupRequest {
        user_pool_id: Some(pool.to_owned()),
        group_name: Some(group.to_owned()),
        ..Default::default()
    };
    call(app, request).await.map(|page| page.users.len())
}

/// The names of the groups that a user is in.
pub async fn groups_of(app: &App, pool: &str, name: &str) -> Answer<Vec<String>> {
    let request = v1::AdminListGroupsForUserRequest {
        user_pool_id: Some(pool.to_owned()),
        username: Some(name.to_owned()),
        ..Default::default()
    };
    let page = call(app, request).await?;
    Ok(page.groups.into_iter().filter_map(|group| group.group_name).collect())
}
