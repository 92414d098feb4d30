//! A process logs nothing secret and nothing personal about its calls, at any log level.

use std::fs;

use serde_json::{Value, json};
use userpool::proto::v1::*;

use crate::support::client::Api;
use crate::support::environment::{DevOptions, environment, start_dev};
use crate::support::http;
use crate::support::pool::{Pool, email_pool, password_client, secret_hash, unique};

/// A process that logs everything that it and its libraries can log.
async fn talkative_process() -> crate::support::environment::Dev {
    tokio::task::spawn_blocking(|| {
        let environment = environment();
        environment.postgres.create_database("secrets");
        start_dev(&DevOptions {
            name: "dev-secrets",
            database_url: &environment.postgres.url("secrets"),
            kafka_brokers: &environment.kafka.bootstrap,
            kafka_prefix: "secrets.",
            master_keys_file: &environment.master_keys_file,
            public_url: &environment.public_url,
            http_addr: "127.0.0.1:0",
            log_filter: "trace",
            arguments: &[],
        })
    })
    .await
    .expect("userpool dev starts")
}

#[tokio::test]
async fn no_log_at_any_level_shows_a_secret_or_a_person() {
    let process = talkative_process().await;
    let client = CreateUserPoolClientRequest { generate_secret: Some(true), ..password_client() };
    let pool = Pool::create_by(Api::of(std::slice::from_ref(&process)), email_pool(), password_client()).await;
    let client = pool.add_client(client).await;
    let (id, secret) = (client.client_id(), client.client_secret());
    let [name, given, password, wrong] =
        ["Hidden-name", "Hidden-given", "Hidden-password-1", "Hidden-wrong-1"].map(unique);
    let email = format!("{}@example.com", unique("hidden-mail"));
    let hash = secret_hash(secret, &name, id);
    let post = async |operation: &str, body: Value| {
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        let headers = [("x-amz-target", target.as_str())];
        http::send(process.http, "POST", "/", &headers, body.to_string().as_bytes()).await
    };

    // Sign-up and sign-in at one door, at the other, and by the SDK with a signature; right and wrong.
    let attributes = json!([{ "Name": "email", "Value": email }, { "Name": "given_name", "Value": given }]);
    let body = json!({
        "ClientId": id, "Username": name, "Password": password, "SecretHash": hash, "UserAttributes": attributes,
    });
    let signed_up = post("SignUp", body.clone()).await;
    assert_eq!(signed_up.status, 200, "{}", signed_up.text());
    assert_eq!(post("SignUp", body).await.exception().0, "UsernameExistsException");
    let code = pool.api.code_for(&email).await;
    let confirm = ConfirmSignUpRequest {
        client_id: Some(id.to_owned()),
        secret_hash: Some(hash.clone()),
        ..pool.confirm_request(&name, &code)
    };
    pool.api.call(confirm).await.unwrap();
    let sign_in = |password: &str| {
        let mut request = pool.sign_in_request(&name, password);
        request.client_id = Some(id.to_owned());
        request.auth_parameters.insert("SECRET_HASH".to_owned(), hash.clone());
        request
    };
    pool.api.call(sign_in(&wrong)).await.unwrap_err();
    let tokens = pool.api.call(sign_in(&password)).await.unwrap().authentication_result.unwrap();
    pool.get_user(tokens.access_token()).await.unwrap();
    assert_eq!(post("GetUser", json!({ "AccessToken": tokens.access_token })).await.status, 200);
    let parameters = json!({ "REFRESH_TOKEN": tokens.refresh_token, "SECRET_HASH": hash });
    let body = json!({ "ClientId": id, "AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": parameters });
    assert_eq!(post("InitiateAuth", body).await.status, 200);
    let bad = json!({ "ClientId": id, "Username": name, "Password": format!("{password} "), "Other": [email] });
    assert_eq!(post("SignUp", bad).await.exception().0, "InvalidParameterException");
    let unreadable = format!("{{\"Password\":\"{password}\"");
    let headers = [("x-amz-target", "AWSCognitoIdentityProviderService.SignUp")];
    http::send(process.http, "POST", "/", &headers, unreadable.as_bytes()).await;
    pool.admin_get_user(&name).await.unwrap();
    pool.api.aws().admin_get_user().user_pool_id(&pool.id).username(&name).send().await.unwrap();
    pool.sign_out(tokens.access_token()).await.unwrap();

    // An invitation, and the challenge that follows from it.
    let [invited, temporary, own] = ["Hidden-invited", "Hidden-temporary-1", "Hidden-own-1"].map(unique);
    pool.create_user(&invited, &[], &temporary).await;
    let session = pool.challenge(&invited, &temporary).await.session.unwrap();
    let body = json!({
        "ClientId": pool.client_id, "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": session,
        "ChallengeResponses": { "USERNAME": invited, "NEW_PASSWORD": own },
    });
    assert_eq!(post("RespondToAuthChallenge", body).await.status, 200);
    assert_eq!(pool.api.call(pool.new_password_request(&session, &invited, &own)).await.unwrap_err().fields, [""; 0]);
    let identity = unique("Hidden-identity");
    let google = |value: &str, provider: &str| ProviderUserIdentifierType {
        provider_name: Some(provider.to_owned()),
        provider_attribute_name: Some("Cognito_Subject".to_owned()),
        provider_attribute_value: Some(value.to_owned()),
    };
    let link = AdminLinkProviderForUserRequest {
        user_pool_id: Some(pool.id.clone()),
        destination_user: Some(google(&invited, "Cognito")),
        source_user: Some(google(&identity, "Google")),
    };
    pool.api.call(link).await.unwrap();

    let log = fs::read_to_string(&process.log).unwrap();
    assert!(log.contains("TRACE"), "the process says what it can");
    let shown = |what: &str, value: &str| {
        let line = log.lines().find(|line| line.contains(value));
        // The failure's message does not show the value either.
        line.map(|line| format!("{what}: {}", line.replace(value, "<secret>").chars().take(300).collect::<String>()))
    };
    let code_field = format!("\"{code}\"");
    let secrets = [
        ("the password", password.as_str()),
        ("the wrong password", &wrong),
        ("the client's secret", secret),
        ("the hash", &hash),
        ("the code", &code_field),
        ("the access token", tokens.access_token()),
        ("the ID token", tokens.id_token()),
        ("the refresh token", tokens.refresh_token()),
        ("the account's secret", &process.account.secret),
        ("the name", &name),
        ("the given name", &given),
        ("the address", &email),
        ("the temporary password", &temporary),
        ("the new password", &own),
        ("the challenge token", &session),
        ("the invited user's name", &invited),
        ("the linked identity", &identity),
    ];
    let found: Vec<_> = secrets.iter().filter_map(|(what, value)| shown(what, value)).collect();
    assert!(found.is_empty(), "{found:#?}");
    pool.verify().await;
}
