//! What administrators do with users.

use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, password_client, texts, unique};

fn named(pool: &Pool, username: &str) -> (Option<String>, Option<String>) {
    (Some(pool.id.clone()), Some(username.to_owned()))
}

async fn confirm(pool: &Pool, username: &str) -> Result<AdminConfirmSignUpResponse, Refusal> {
    let (user_pool_id, username) = named(pool, username);
    pool.api.call(AdminConfirmSignUpRequest { user_pool_id, username, ..Default::default() }).await
}

async fn admin_sign_in(
    pool: &Pool,
    client: &str,
    flow: &str,
    values: &[(&str, &str)],
) -> Result<AuthenticationResultType, Refusal> {
    let request = AdminInitiateAuthRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(client.to_owned()),
        auth_flow: Some(flow.to_owned()),
        auth_parameters: parameters(values),
        ..Default::default()
    };
    Ok(pool.api.call(request).await?.authentication_result.expect("tokens"))
}

#[tokio::test]
async fn an_administrator_confirms_a_user_without_proving_an_address() {
    let pool = Pool::create().await;
    let name = unique("confirmed");
    pool.sign_up(&name, &[("email", &format!("{name}@example.com"))]).await.unwrap();
    confirm(&pool, &name).await.unwrap();
    let user = pool.admin_get_user(&name).await.unwrap();
    assert_eq!(user.user_status.as_deref(), Some("CONFIRMED"));
    let verified = user.user_attributes.iter().find(|attribute| attribute.name() == "email_verified");
    assert_eq!(verified.and_then(|attribute| attribute.value.as_deref()), Some("false"));
    pool.sign_in(&name, PASSWORD).await.unwrap();

    let message = "User cannot be confirmed. Current status is CONFIRMED";
    assert_refused(confirm(&pool, &name).await, "NotAuthorizedException", message);
    assert_refused(pool.confirm(&name, "000000").await, "NotAuthorizedException", message);
    assert_refused(confirm(&pool, "nobody").await, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn an_administrator_signs_a_user_out_everywhere() {
    let pool = Pool::create().await;
    let person = pool.person("signed-out").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let (user_pool_id, username) = named(&pool, &person.username);
    pool.api.call(AdminUserGlobalSignOutRequest { user_pool_id, username }).await.unwrap();
    let revoked = "Access Token has been revoked";
    assert_refused(pool.get_user(tokens.access_token()).await, "NotAuthorizedException", revoked);
    let revoked = "Refresh Token has been revoked";
    assert_refused(pool.refresh(tokens.refresh_token()).await, "NotAuthorizedException", revoked);
    pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let (user_pool_id, username) = named(&pool, "nobody");
    let unknown = pool.api.call(AdminUserGlobalSignOutRequest { user_pool_id, username }).await;
    assert_refused(unknown, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn an_administrator_deletes_a_user_and_the_name_is_free() {
    let pool = Pool::create().await;
    let person = pool.person("deleted").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let (user_pool_id, username) = named(&pool, &person.username);
    let delete = AdminDeleteUserRequest { user_pool_id, username };
    pool.api.call(delete.clone()).await.unwrap();
    let missing = "User does not exist.";
    assert_refused(pool.api.call(delete).await, "UserNotFoundException", missing);
    assert_refused(pool.admin_get_user(&person.username).await, "UserNotFoundException", missing);
    assert_refused(pool.get_user(tokens.access_token()).await, "UserNotFoundException", missing);
    let again = pool.sign_up(&person.username, &[("email", &person.email)]).await.unwrap();
    assert_ne!(again.user_sub.as_deref(), Some(person.sub.as_str()));
    pool.verify().await;
}

#[tokio::test]
async fn a_trusted_server_signs_a_user_in_where_the_client_allows_it() {
    let pool = Pool::create().await;
    let person = pool.person("trusted").await;
    let values = [("USERNAME", person.username.as_str()), ("PASSWORD", PASSWORD)];
    assert_refused(
        admin_sign_in(&pool, &pool.client_id, "ADMIN_USER_PASSWORD_AUTH", &values).await,
        "InvalidParameterException",
        "Auth flow not enabled for this client",
    );
    let trusted = CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        ..Default::default()
    };
    let trusted = pool.add_client(trusted).await;
    let tokens = admin_sign_in(&pool, trusted.client_id(), "ADMIN_NO_SRP_AUTH", &values).await.unwrap();
    pool.get_user(tokens.access_token()).await.unwrap();
    let values = [("REFRESH_TOKEN", tokens.refresh_token())];
    let renewed = admin_sign_in(&pool, trusted.client_id(), "REFRESH_TOKEN_AUTH", &values).await.unwrap();
    assert_eq!(renewed.refresh_token, None);
    let wrong = [("USERNAME", person.username.as_str()), ("PASSWORD", "Wrong-horse-7")];
    assert_refused(
        admin_sign_in(&pool, trusted.client_id(), "ADMIN_USER_PASSWORD_AUTH", &wrong).await,
        "NotAuthorizedException",
        "Incorrect username or password.",
    );
    // Without a developer's credential the flow is closed, through InitiateAuth as well.
    let open = InitiateAuthRequest {
        client_id: trusted.client_id.clone(),
        auth_flow: Some("ADMIN_USER_PASSWORD_AUTH".into()),
        auth_parameters: parameters(&wrong),
        ..Default::default()
    };
    let message = "Initiate Auth method not supported.";
    assert_refused(pool.api.call(open).await, "InvalidParameterException", message);
    pool.verify().await;
}

#[tokio::test]
async fn a_code_is_sent_again_and_the_one_before_is_of_no_use() {
    let pool = Pool::create().await;
    let name = unique("again");
    let address = format!("{name}@example.com");
    pool.sign_up(&name, &[("email", &address)]).await.unwrap();
    let first = pool.api.code_for(&address).await;
    let resend = ResendConfirmationCodeRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(name.clone()),
        ..Default::default()
    };
    let sent = pool.api.call(resend.clone()).await.unwrap().code_delivery_details.unwrap();
    assert_eq!((sent.delivery_medium.as_deref(), sent.attribute_name.as_deref()), (Some("EMAIL"), Some("email")));
    let messages = pool.api.messages_for(&address, 2).await;
    let second = messages[0]["code"].as_str().expect("a code").to_owned();
    if first != second {
        let message = "Invalid verification code provided, please try again.";
        assert_refused(pool.confirm(&name, &first).await, "CodeMismatchException", message);
    }
    // Five codes an hour, the first included.
    for sent in 3..=5 {
        pool.api.call(resend.clone()).await.unwrap();
        // A code that is replaced before it has left is not sent at all.
        pool.api.messages_for(&address, sent).await;
    }
    let message = "Attempt limit exceeded, please try after some time.";
    assert_refused(pool.api.call(resend.clone()).await, "LimitExceededException", message);
    let messages = pool.api.messages_for(&address, 5).await;
    pool.confirm(&name, messages[0]["code"].as_str().expect("a code")).await.unwrap();
    assert_refused(pool.api.call(resend).await, "InvalidParameterException", "User is already confirmed.");
    pool.verify().await;
}

#[tokio::test]
async fn a_client_can_hide_whether_a_code_was_resent_to_a_user() {
    let hiding =
        CreateUserPoolClientRequest { prevent_user_existence_errors: Some("ENABLED".into()), ..password_client() };
    let pool = Pool::create_with(email_pool(), hiding).await;
    let resend = |client: &str| ResendConfirmationCodeRequest {
        client_id: Some(client.to_owned()),
        username: Some("nobody@example.com".into()),
        ..Default::default()
    };
    let sent = pool.api.call(resend(&pool.client_id)).await.unwrap().code_delivery_details.unwrap();
    assert_eq!(sent.destination.as_deref(), Some("n***@e***"));
    assert!(pool.api.mailbox("nobody@example.com").await.is_empty());
    let open = pool.add_client(password_client()).await;
    let refused = pool.api.call(resend(open.client_id())).await;
    assert_refused(refused, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn without_an_address_to_verify_no_code_can_be_sent_again() {
    let pool = Pool::create_with(CreateUserPoolRequest::default(), password_client()).await;
    let name = unique("silent");
    pool.sign_up(&name, &[]).await.unwrap();
    let resend = ResendConfirmationCodeRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(name.clone()),
        ..Default::default()
    };
    let message = "Cannot resend codes. Auto verification not turned on.";
    assert_refused(pool.api.call(resend).await, "InvalidParameterException", message);
    confirm(&pool, &name).await.unwrap();
    pool.verify().await;
}
