//! App clients.

use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{
    PASSWORD, Person, Pool, attributes, by_name, email_pool, password_client, text_attribute, texts,
};
use crate::support::requests::same_fields;

fn describe(pool: &str, client: &str) -> DescribeUserPoolClientRequest {
    DescribeUserPoolClientRequest { user_pool_id: Some(pool.into()), client_id: Some(client.into()) }
}

/// Asserts that CreateUserPoolClient refuses a request, and that UpdateUserPoolClient refuses the same change.
async fn refused(pool: &Pool, request: CreateUserPoolClientRequest, exception: &str, message: &str) {
    let client_id = if request.generate_secret() {
        let secret = CreateUserPoolClientRequest { generate_secret: Some(true), ..Default::default() };
        pool.add_client(secret).await.client_id
    } else {
        Some(pool.client_id.clone())
    };
    let user_pool_id = Some(pool.id.clone());
    let update = UpdateUserPoolClientRequest { user_pool_id, client_id, ..same_fields(&request) };
    assert_refused(pool.try_client(request).await, exception, message);
    pool.api.refused_alike(update, exception, &message.replace("while creating", "while updating")).await;
}

#[tokio::test]
async fn every_field_of_a_client_comes_back() {
    let pool = Pool::create().await;
    let asked = CreateUserPoolClientRequest {
        client_name: Some("Every field".into()),
        client_secret: Some("a-secret-of-our-own".replace('-', "_") + "_0123456789"),
        refresh_token_validity: Some(48),
        access_token_validity: Some(30),
        id_token_validity: Some(3600),
        token_validity_units: Some(TokenValidityUnitsType {
            access_token: Some("minutes".into()),
            id_token: Some("seconds".into()),
            refresh_token: Some("hours".into()),
        }),
        read_attributes: texts(&["email", "given_name", "email_verified"]),
        write_attributes: texts(&["email"]),
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"]),
        supported_identity_providers: texts(&["COGNITO"]),
        callback_urls: texts(&["https://app.example.com/in", "myapp://in"]),
        logout_urls: texts(&["https://app.example.com/out"]),
        default_redirect_uri: Some("https://app.example.com/in".into()),
        allowed_oauth_flows: texts(&["code", "implicit"]),
        allowed_oauth_scopes: texts(&["openid", "email", "aws.cognito.signin.user.admin"]),
        allowed_oauth_flows_user_pool_client: Some(true),
        analytics_configuration: Some(AnalyticsConfigurationType {
            application_id: Some("d70b2ba36a8c4dc5a04a0451a31a1e12".into()),
            external_id: Some("external".into()),
            role_arn: Some("arn:aws:iam::123456789012:role/analytics".into()),
            user_data_shared: Some(true),
            ..Default::default()
        }),
        prevent_user_existence_errors: Some("ENABLED".into()),
        enable_token_revocation: Some(false),
        enable_propagate_additional_user_context_data: Some(false),
        auth_session_validity: Some(15),
        refresh_token_rotation: Some(RefreshTokenRotationType {
            feature: Some("DISABLED".into()),
            retry_grace_period_seconds: Some(10),
        }),
        ..Default::default()
    };
    let created = pool.add_client(asked.clone()).await;
    let id = created.client_id().to_owned();
    assert!(id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()), "{id}");
    for _ in 0..2 {
        let described = pool.api.call(describe(&pool.id, &id)).await.unwrap().user_pool_client.unwrap();
        assert_eq!(described, created);
    }
    assert_eq!(created.user_pool_id.as_deref(), Some(pool.id.as_str()));
    assert_eq!(created.client_name, asked.client_name);
    assert_eq!(created.client_secret, asked.client_secret);
    assert!(created.creation_date.is_some() && created.creation_date == created.last_modified_date);
    assert_eq!(created.refresh_token_validity, asked.refresh_token_validity);
    assert_eq!(created.access_token_validity, asked.access_token_validity);
    assert_eq!(created.id_token_validity, asked.id_token_validity);
    assert_eq!(created.token_validity_units, asked.token_validity_units);
    assert_eq!(created.read_attributes, asked.read_attributes);
    assert_eq!(created.write_attributes, asked.write_attributes);
    assert_eq!(created.explicit_auth_flows, asked.explicit_auth_flows);
    assert_eq!(created.supported_identity_providers, asked.supported_identity_providers);
    assert_eq!(created.callback_urls, asked.callback_urls);
    assert_eq!(created.logout_urls, asked.logout_urls);
    assert_eq!(created.default_redirect_uri, asked.default_redirect_uri);
    assert_eq!(created.allowed_oauth_flows, asked.allowed_oauth_flows);
    assert_eq!(created.allowed_oauth_scopes, asked.allowed_oauth_scopes);
    assert_eq!(created.allowed_oauth_flows_user_pool_client, asked.allowed_oauth_flows_user_pool_client);
    assert_eq!(created.analytics_configuration, asked.analytics_configuration);
    assert_eq!(created.prevent_user_existence_errors, asked.prevent_user_existence_errors);
    assert_eq!(created.enable_token_revocation, asked.enable_token_revocation);
    let propagates = created.enable_propagate_additional_user_context_data;
    assert_eq!(propagates, asked.enable_propagate_additional_user_context_data);
    assert_eq!(created.auth_session_validity, asked.auth_session_validity);
    assert_eq!(created.refresh_token_rotation, asked.refresh_token_rotation);
    pool.verify().await;
}

#[tokio::test]
async fn a_client_without_settings_has_the_defaults() {
    let pool = Pool::create().await;
    let client = pool.add_client(CreateUserPoolClientRequest::default()).await;
    assert_eq!(client.client_secret, None);
    assert_eq!(client.refresh_token_validity, Some(30));
    assert_eq!((client.access_token_validity, client.id_token_validity), (None, None));
    assert_eq!(client.token_validity_units, Some(TokenValidityUnitsType::default()), "always shown");
    assert_eq!((client.explicit_auth_flows, client.given_empty), (Vec::new(), Vec::new()), "the default acts unseen");
    assert_eq!(client.enable_token_revocation, Some(true));
    assert_eq!(client.auth_session_validity, Some(3));
    assert_eq!(client.allowed_oauth_flows_user_pool_client, Some(false));
    // 0 days mean the default.
    let zero = CreateUserPoolClientRequest { refresh_token_validity: Some(0), ..Default::default() };
    assert_eq!(pool.add_client(zero).await.refresh_token_validity, Some(30));
    pool.verify().await;
}

#[tokio::test]
async fn a_secret_is_made_or_taken_but_not_both() {
    let pool = Pool::create().await;
    let generate = CreateUserPoolClientRequest { generate_secret: Some(true), ..Default::default() };
    let secrets = [pool.add_client(generate.clone()).await, pool.add_client(generate.clone()).await];
    let [one, other] = secrets.map(|client| client.client_secret.unwrap());
    assert_ne!(one, other);
    assert!(one.len() == 51 && one.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()));
    let both = CreateUserPoolClientRequest { client_secret: Some("x".repeat(24)), ..generate };
    let refusal = pool.try_client(both).await.unwrap_err();
    assert_eq!(refusal.exception, "InvalidParameterException");
    let short = CreateUserPoolClientRequest { client_secret: Some("x".repeat(23)), ..Default::default() };
    let refusal = pool.try_client(short).await.unwrap_err();
    assert!(refusal.message.contains("'clientSecret'") && !refusal.message.contains("xxx"), "{}", refusal.message);
    pool.verify().await;
}

#[tokio::test]
async fn lifetimes_of_tokens_have_bounds() {
    let pool = Pool::create().await;
    let lives = |access: (i32, &str), id: (i32, &str), refresh: (i32, &str)| CreateUserPoolClientRequest {
        access_token_validity: Some(access.0),
        id_token_validity: Some(id.0),
        refresh_token_validity: Some(refresh.0),
        token_validity_units: Some(TokenValidityUnitsType {
            access_token: Some(access.1.into()),
            id_token: Some(id.1.into()),
            refresh_token: Some(refresh.1.into()),
        }),
        ..Default::default()
    };
    for good in [
        lives((300, "seconds"), (5, "minutes"), (1, "hours")),
        lives((1, "days"), (24, "hours"), (3650, "days")),
        lives((86_400, "seconds"), (1440, "minutes"), (315_360_000, "seconds")),
        lives((1, "hours"), (1, "hours"), (60, "minutes")),
    ] {
        pool.add_client(good).await;
    }
    let hour = (1, "hours");
    for (bad, what) in [
        (lives((299, "seconds"), hour, hour), "an access token must live between 5 minutes and 1 day"),
        (lives((25, "hours"), hour, hour), "an access token must live between 5 minutes and 1 day"),
        (lives(hour, (4, "minutes"), hour), "an ID token must live between 5 minutes and 1 day"),
        (lives(hour, (2, "days"), hour), "an ID token must live between 5 minutes and 1 day"),
        (
            lives((5, "minutes"), (5, "minutes"), (59, "minutes")),
            "a refresh token must live between 60 minutes and 3,650 days",
        ),
        (lives(hour, hour, (3651, "days")), "a refresh token must live between 60 minutes and 3,650 days"),
        (lives((2, "hours"), hour, hour), "a refresh token must live at least as long as the other tokens"),
    ] {
        let message = format!("Invalid range for token validity: {what}.");
        refused(&pool, bad, "InvalidParameterException", &message).await;
    }
    // Without units the numbers are hours, and days for the refresh token.
    let plain = CreateUserPoolClientRequest { access_token_validity: Some(25), ..Default::default() };
    assert_eq!(pool.try_client(plain).await.unwrap_err().exception, "InvalidParameterException");
    pool.verify().await;
}

#[tokio::test]
async fn attributes_must_be_those_of_the_pool() {
    let schema = vec![
        SchemaAttributeType { required: Some(true), ..text_attribute("family_name") },
        text_attribute("plan"),
        SchemaAttributeType { developer_only_attribute: Some(true), ..text_attribute("note") },
    ];
    let pool = Pool::create_with(CreateUserPoolRequest { schema, ..email_pool() }, password_client()).await;
    let read = |names: &[&str]| CreateUserPoolClientRequest { read_attributes: texts(names), ..Default::default() };
    let write = |names: &[&str]| CreateUserPoolClientRequest { write_attributes: texts(names), ..Default::default() };
    pool.add_client(read(&["email", "custom:plan", "sub"])).await;
    pool.add_client(write(&["family_name", "custom:plan"])).await;
    for (request, which) in [
        (read(&["color"]), "read"),
        (read(&["plan"]), "read"),
        (write(&["family_name", "color"]), "write"),
        (write(&["family_name", "sub"]), "write"),
        (write(&["family_name", "dev:custom:note"]), "write"),
        // A client that may write only these attributes could sign nobody up.
        (write(&["email"]), "write"),
    ] {
        let message = format!("Invalid {which} attributes specified while creating a client");
        refused(&pool, request, "InvalidParameterException", &message).await;
    }
    pool.verify().await;
}

#[tokio::test]
async fn flows_and_rules_of_oauth_are_checked() {
    let pool = Pool::create().await;
    let flows =
        |names: &[&str]| CreateUserPoolClientRequest { explicit_auth_flows: texts(names), ..Default::default() };
    let mixed = "ExplicitAuthFlows can't hold both values with the prefix ALLOW_ and values without it.";
    refused(&pool, flows(&["ALLOW_USER_SRP_AUTH", "USER_PASSWORD_AUTH"]), "InvalidParameterException", mixed).await;
    pool.add_client(flows(&["ADMIN_NO_SRP_AUTH", "USER_PASSWORD_AUTH", "CUSTOM_AUTH_FLOW_ONLY"])).await;
    let unbuilt = "ALLOW_TOKEN_EXCHANGE_DELEGATION is not supported by this server yet.";
    refused(&pool, flows(&["ALLOW_TOKEN_EXCHANGE_DELEGATION"]), "InvalidParameterException", unbuilt).await;

    let oauth =
        |names: &[&str]| CreateUserPoolClientRequest { allowed_oauth_flows: texts(names), ..Default::default() };
    let message = "client_credentials flow can not be selected along with code flow or implicit flow.";
    refused(&pool, oauth(&["code", "client_credentials"]), "InvalidOAuthFlowException", message).await;
    let message = "client_credentials flow can not be selected if client does not have a client secret.";
    refused(&pool, oauth(&["client_credentials"]), "InvalidOAuthFlowException", message).await;
    let message = "CallbackUrls can not be empty when code flow or implicit flow is selected";
    refused(&pool, oauth(&["code"]), "InvalidOAuthFlowException", message).await;
    let own = CreateUserPoolClientRequest { generate_secret: Some(true), ..oauth(&["client_credentials"]) };
    let with_secret = pool.add_client(own.clone()).await;
    let scopes = |scopes: &[&str]| CreateUserPoolClientRequest { allowed_oauth_scopes: texts(scopes), ..own.clone() };
    let message = "openid is not supported with client_credentials flow";
    refused(&pool, scopes(&["openid"]), "InvalidOAuthFlowException", message).await;
    // The secret counts in an update as well.
    let update = |client_id: &Option<String>| UpdateUserPoolClientRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: client_id.clone(),
        allowed_oauth_flows: texts(&["client_credentials"]),
        ..Default::default()
    };
    pool.api.call(update(&with_secret.client_id)).await.unwrap();
    let message = "client_credentials flow can not be selected if client does not have a client secret.";
    let without_secret = pool.api.call(update(&Some(pool.client_id.clone()))).await;
    assert_refused(without_secret, "InvalidOAuthFlowException", message);
    let part = CreateUserPoolClientRequest { allowed_oauth_flows_user_pool_client: Some(true), ..Default::default() };
    let message =
        "AllowedOAuthFlows and AllowedOAuthScopes are required if user pool client is allowed to use OAuth flows.";
    refused(&pool, part, "InvalidParameterException", message).await;
    let callback = |url: &str| CreateUserPoolClientRequest { callback_urls: texts(&[url]), ..Default::default() };
    for (url, what) in [
        ("http://app.example.com", "cannot use the HTTP protocol."),
        ("http://127.0.0.1.example.com", "cannot use the HTTP protocol."),
        ("https://app.example.com/#top", "must not include a fragment component."),
        ("app.example.com", "is not an absolute URI."),
        ("javascript:alert(1)", "is of a scheme that can't be redirected to."),
    ] {
        let message = format!("{url} {what}");
        refused(&pool, callback(url), "InvalidParameterException", &message).await;
        let logout = CreateUserPoolClientRequest { logout_urls: texts(&[url]), ..Default::default() };
        refused(&pool, logout, "InvalidParameterException", &message).await;
    }
    for here in ["http://localhost:3000/in", "http://127.0.0.1", "http://127.0.0.1:53682/in", "http://[::1]:53682/in"] {
        let client = CreateUserPoolClientRequest {
            logout_urls: texts(&[here]),
            default_redirect_uri: Some(here.into()),
            ..callback(here)
        };
        assert_eq!(pool.add_client(client).await.callback_urls, [here]);
    }
    let providers =
        CreateUserPoolClientRequest { supported_identity_providers: texts(&["COGNITO", "Big"]), ..Default::default() };
    let message = format!("The provider Big does not exist for User Pool {}.", pool.id);
    refused(&pool, providers, "InvalidParameterException", &message).await;
    let scope =
        CreateUserPoolClientRequest { allowed_oauth_scopes: texts(&["openid", "api/read"]), ..Default::default() };
    refused(&pool, scope, "ScopeDoesNotExistException", "Invalid scope requested: api/read").await;
    let redirect = CreateUserPoolClientRequest {
        callback_urls: texts(&["https://app.example.com/in"]),
        default_redirect_uri: Some("https://app.example.com/other".into()),
        ..Default::default()
    };
    let message = "DefaultRedirectURI must be one of the CallbackURLs.";
    refused(&pool, redirect, "InvalidParameterException", message).await;

    let rotation = RefreshTokenRotationType { feature: Some("ENABLED".into()), ..Default::default() };
    let rotation = CreateUserPoolClientRequest {
        refresh_token_rotation: Some(rotation),
        explicit_auth_flows: texts(&["ALLOW_REFRESH_TOKEN_AUTH"]),
        ..Default::default()
    };
    let message = "ALLOW_REFRESH_TOKEN_AUTH can't stand beside RefreshTokenRotation ENABLED: refresh by GetTokensFromRefreshToken.";
    refused(&pool, rotation, "InvalidParameterException", message).await;
    let context =
        CreateUserPoolClientRequest { enable_propagate_additional_user_context_data: Some(true), ..Default::default() };
    let message = "EnablePropagateAdditionalUserContextData is not supported by this server yet.";
    refused(&pool, context, "InvalidParameterException", message).await;
    pool.verify().await;
}

#[tokio::test]
async fn a_client_with_an_empty_list_of_flows_has_none_and_one_without_a_list_the_default_which_is_not_shown() {
    let pool = Pool::create().await;
    let aws = pool.api.aws();
    for given in [Some(Vec::new()), None] {
        let request = aws.create_user_pool_client().user_pool_id(&pool.id).client_name("app");
        let created = request.set_explicit_auth_flows(given.clone()).send().await.unwrap().user_pool_client.unwrap();
        let id = created.client_id().unwrap().to_owned();
        let described = aws.describe_user_pool_client().user_pool_id(&pool.id).client_id(&id).send().await.unwrap();
        for client in [created, described.user_pool_client.unwrap()] {
            assert_eq!(client.explicit_auth_flows, given);
        }
    }

    let person = pool.person("flowing").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let update = || aws.update_user_pool_client().user_pool_id(&pool.id).client_id(&pool.client_id);
    update().set_explicit_auth_flows(Some(Vec::new())).send().await.unwrap();
    let refused = pool.sign_in(&person.username, PASSWORD).await;
    assert_refused(refused, "InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled for this client");
    let refused = pool.refresh(tokens.refresh_token()).await;
    assert_refused(refused, "InvalidParameterException", "REFRESH_TOKEN_AUTH flow not enabled for this client");
    update().send().await.unwrap();
    pool.refresh(tokens.refresh_token()).await.unwrap();
    let refused = pool.sign_in(&person.username, PASSWORD).await;
    assert_refused(refused, "InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled for this client");
    pool.verify().await;
}

/// What an app reads and writes of its user.
async fn access(pool: &Pool, person: &Person, client_id: &str) -> (Vec<String>, Result<(), Refusal>) {
    let request = pool.sign_in_request(&person.username, PASSWORD);
    let request = InitiateAuthRequest { client_id: Some(client_id.to_owned()), ..request };
    let tokens = pool.api.call(request).await.unwrap().authentication_result.unwrap();
    let seen = pool.get_user(tokens.access_token()).await.unwrap().user_attributes;
    let change = UpdateUserAttributesRequest {
        access_token: tokens.access_token.clone(),
        user_attributes: attributes(&[("nickname", "J")]),
        ..Default::default()
    };
    (by_name(&seen).into_keys().collect(), pool.api.call(change).await.map(drop))
}

#[tokio::test]
async fn a_client_with_an_empty_list_of_attributes_sees_or_changes_none_and_one_without_a_list_all() {
    const UNAUTHORIZED: (&str, &str) = ("NotAuthorizedException", "A client attempted to write unauthorized attribute");
    let pool = Pool::create().await;
    let aws = pool.api.aws();
    let person = pool.person_with("watched", &[("nickname", "I")]).await;
    let flows = || Some(vec!["ALLOW_USER_PASSWORD_AUTH".into()]);
    let all = ["email", "email_verified", "nickname", "sub"];

    let create = aws.create_user_pool_client().user_pool_id(&pool.id).client_name("blind");
    let create = create.set_explicit_auth_flows(flows()).set_read_attributes(Some(Vec::new()));
    let blind = create.set_write_attributes(Some(Vec::new())).send().await.unwrap().user_pool_client.unwrap();
    let blind = blind.client_id().unwrap();
    let (seen, changed) = access(&pool, &person, blind).await;
    assert_eq!(seen, ["sub"]);
    assert_refused(changed, UNAUTHORIZED.0, UNAUTHORIZED.1);

    let update = || {
        let update = aws.update_user_pool_client().user_pool_id(&pool.id).client_id(blind);
        update.set_explicit_auth_flows(flows())
    };
    update().set_write_attributes(Some(Vec::new())).send().await.unwrap();
    let (seen, changed) = access(&pool, &person, blind).await;
    assert_eq!(seen, all);
    assert_refused(changed, UNAUTHORIZED.0, UNAUTHORIZED.1);
    update().set_read_attributes(Some(Vec::new())).send().await.unwrap();
    let (seen, changed) = access(&pool, &person, blind).await;
    assert_eq!(seen, ["sub"]);
    changed.unwrap();
    update().send().await.unwrap();
    let (seen, changed) = access(&pool, &person, blind).await;
    assert_eq!(seen, all);
    changed.unwrap();

    // Every client must be able to write a required attribute.
    let schema = vec![SchemaAttributeType { name: Some("email".into()), required: Some(true), ..Default::default() }];
    let strict = Pool::create_with(CreateUserPoolRequest { schema, ..email_pool() }, password_client()).await;
    let create = aws.create_user_pool_client().user_pool_id(&strict.id).client_name("app");
    let refused = create.set_write_attributes(Some(Vec::new())).send().await.unwrap_err().into_service_error();
    let message = "Invalid write attributes specified while creating a client";
    assert_eq!((refused.meta().code(), refused.meta().message()), (Some("InvalidParameterException"), Some(message)));
    strict.verify().await;
    pool.verify().await;
}

/// The lists that a client shows, at both doors.
async fn lists(pool: &Pool, client_id: &str) -> (UserPoolClientType, serde_json::Value) {
    let request = describe(&pool.id, client_id);
    let body = serde_json::json!({ "UserPoolId": pool.id, "ClientId": client_id });
    let answer = pool.api.aws_json("DescribeUserPoolClient", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (pool.api.call(request).await.unwrap().user_pool_client.unwrap(), answer.json()["UserPoolClient"].clone())
}

#[tokio::test]
async fn a_client_that_is_described_and_then_changed_to_what_was_shown_stays_as_it_is() {
    let pool = Pool::create().await;
    let names = ["ExplicitAuthFlows", "ReadAttributes", "WriteAttributes"];
    let fields = ["explicit_auth_flows", "read_attributes", "write_attributes"];
    // Each list is absent, empty, or has entries.
    for (given_empty, read_attributes) in
        [(texts(&[]), texts(&[])), (texts(&fields), texts(&[])), (texts(&["write_attributes"]), texts(&["email"]))]
    {
        let request = CreateUserPoolClientRequest { given_empty, read_attributes, ..Default::default() };
        let created = pool.add_client(request.clone()).await;
        let (shown, json) = lists(&pool, created.client_id()).await;
        assert_eq!(shown, created);
        assert_eq!((&shown.given_empty, &shown.read_attributes), (&request.given_empty, &request.read_attributes));
        for (name, field) in names.iter().zip(fields) {
            let empty = request.given_empty.iter().any(|given| given == field);
            let listed = *name == "ReadAttributes" && !request.read_attributes.is_empty();
            let expected = match (empty, listed) {
                (true, _) => serde_json::json!([]),
                (_, true) => serde_json::json!(["email"]),
                _ => serde_json::Value::Null,
            };
            assert_eq!(json[name], expected, "{name} of {request:?}");
        }
        assert_eq!(json.get("GivenEmpty"), None, "the empty lists say it themselves");

        let mut again = json;
        for read_only in ["CreationDate", "LastModifiedDate"] {
            again.as_object_mut().unwrap().remove(read_only);
        }
        let answer = pool.api.aws_json("UpdateUserPoolClient", &again).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(lists(&pool, created.client_id()).await.0, shown, "not even the time of the last change");
        let over_grpc = UpdateUserPoolClientRequest {
            user_pool_id: Some(pool.id.clone()),
            client_id: shown.client_id.clone(),
            given_empty: shown.given_empty.clone(),
            read_attributes: shown.read_attributes.clone(),
            ..Default::default()
        };
        assert_eq!(pool.api.call(over_grpc).await.unwrap().user_pool_client, Some(shown));
    }
    let unknown = CreateUserPoolClientRequest { given_empty: texts(&["callback_urls"]), ..Default::default() };
    assert_eq!(pool.try_client(unknown).await.unwrap_err().fields, ["givenEmpty"]);
    pool.verify().await;
}

#[tokio::test]
async fn a_client_is_found_in_its_pool_only() {
    let (pool, other) = (Pool::create().await, Pool::create().await);
    let message = format!("User pool client {} does not exist.", pool.client_id);
    let refused = pool.api.call(describe(&other.id, &pool.client_id)).await;
    assert_refused(refused, "ResourceNotFoundException", &message);
    let request = CreateUserPoolClientRequest {
        user_pool_id: Some("us-east-1_000000000".into()),
        client_name: Some("app".into()),
        ..Default::default()
    };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(request).await, "ResourceNotFoundException", message);
    let found = pool.api.aws().describe_user_pool_client().user_pool_id(&pool.id).client_id(&pool.client_id);
    let found = found.send().await.unwrap();
    assert_eq!(found.user_pool_client().unwrap().client_name(), Some("app"));
    other.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn a_list_that_is_a_set_keeps_each_of_its_texts_once() {
    let urls = ["https://app.example/in", "https://app.example/out", "https://app.example/in"];
    let flows = ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"];
    let request = CreateUserPoolClientRequest {
        explicit_auth_flows: texts(&flows),
        callback_urls: texts(&urls),
        logout_urls: texts(&urls),
        read_attributes: texts(&["email", "email", "name"]),
        write_attributes: texts(&["name", "email", "name"]),
        supported_identity_providers: texts(&["COGNITO", "COGNITO"]),
        allowed_oauth_flows: texts(&["code", "code"]),
        allowed_oauth_scopes: texts(&["openid", "email", "openid"]),
        allowed_oauth_flows_user_pool_client: Some(true),
        ..Default::default()
    };
    let doubled = CreateUserPoolRequest {
        auto_verified_attributes: texts(&["email", "email"]),
        alias_attributes: texts(&["email", "phone_number", "email"]),
        ..Default::default()
    };
    let pool = Pool::create_with(doubled, request).await;
    let described = pool.describe().await;
    assert_eq!(described.auto_verified_attributes, ["email"]);
    assert_eq!(described.alias_attributes, ["email", "phone_number"]);
    let describe =
        DescribeUserPoolClientRequest { user_pool_id: Some(pool.id.clone()), client_id: Some(pool.client_id.clone()) };
    let client = pool.api.call(describe).await.unwrap().user_pool_client.unwrap();
    assert_eq!(client.explicit_auth_flows, flows[..2]);
    assert_eq!(client.callback_urls, urls[..2]);
    assert_eq!(client.logout_urls, urls[..2]);
    assert_eq!(client.read_attributes, ["email", "name"]);
    assert_eq!(client.write_attributes, ["name", "email"]);
    assert_eq!(client.supported_identity_providers, ["COGNITO"]);
    assert_eq!(client.allowed_oauth_flows, ["code"]);
    assert_eq!(client.allowed_oauth_scopes, ["openid", "email"]);
    pool.verify().await;
}

/// Each address has the greatest length and the list has the greatest size: together they are too much.
#[tokio::test]
async fn a_change_whose_event_would_be_too_large_for_kafka_is_refused_and_nothing_is_written() {
    let pool = Pool::create().await;
    let addresses = |kind: &str| -> Vec<String> {
        (0..70).map(|number| format!("https://{kind}{number}.example/{}", "\u{1d49c}".repeat(990))).collect()
    };
    let message = "The change is too large: what is recorded of it has more than 524288 bytes.";
    let request = UpdateUserPoolClientRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        callback_urls: addresses("a"),
        logout_urls: addresses("b"),
        ..Default::default()
    };
    let before = pool.api.call(describe(&pool.id, &pool.client_id)).await.unwrap();
    assert_refused(pool.api.call(request).await, "InvalidParameterException", message);
    let update = pool.api.aws().update_user_pool_client().user_pool_id(&pool.id).client_id(&pool.client_id);
    let update = update.set_callback_urls(Some(addresses("a"))).set_logout_urls(Some(addresses("b")));
    let refused = update.send().await.unwrap_err().into_service_error();
    assert_eq!((refused.meta().code(), refused.meta().message()), (Some("InvalidParameterException"), Some(message)));
    assert_eq!(pool.api.call(describe(&pool.id, &pool.client_id)).await.unwrap(), before);
    pool.verify().await;
}
