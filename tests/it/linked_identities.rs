//! Identities at external providers that are linked to a user.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{PASSWORD, Pool, by_name, unique};

const SUBJECT: &str = "Cognito_Subject";

fn identity(provider: &str, attribute: &str, value: &str) -> ProviderUserIdentifierType {
    ProviderUserIdentifierType {
        provider_name: Some(provider.to_owned()),
        provider_attribute_name: Some(attribute.to_owned()),
        provider_attribute_value: Some(value.to_owned()),
    }
}

/// Names a user of the pool itself, as the operations do.
fn native(username: &str) -> ProviderUserIdentifierType {
    ProviderUserIdentifierType { provider_attribute_name: None, ..identity("Cognito", "", username) }
}

fn link_request(
    pool: &Pool,
    destination: ProviderUserIdentifierType,
    source: ProviderUserIdentifierType,
) -> AdminLinkProviderForUserRequest {
    AdminLinkProviderForUserRequest {
        user_pool_id: Some(pool.id.clone()),
        destination_user: Some(destination),
        source_user: Some(source),
    }
}

async fn link(pool: &Pool, username: &str, source: ProviderUserIdentifierType) -> Result<(), Refusal> {
    pool.api.call(link_request(pool, native(username), source)).await.map(drop)
}

async fn unlink(pool: &Pool, user: ProviderUserIdentifierType) -> Result<(), Refusal> {
    let request = AdminDisableProviderForUserRequest { user_pool_id: Some(pool.id.clone()), user: Some(user) };
    pool.api.call(request).await.map(drop)
}

async fn identities(pool: &Pool, username: &str) -> Value {
    let shown = by_name(&pool.admin_get_user(username).await.unwrap().user_attributes);
    shown.get("identities").map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

#[tokio::test]
async fn linked_identities_show_in_the_user_and_in_the_id_token() {
    let pool = Pool::create().await;
    let person = pool.person("linked").await;
    assert_eq!(identities(&pool, &person.username).await, Value::Null);
    let (google, work) = (unique("google"), format!("{}@example.com", unique("work")));
    link(&pool, &person.username, identity("Google", SUBJECT, &google)).await.unwrap();
    link(&pool, &person.sub, identity("ADFS1", "email", &work)).await.unwrap();
    link(&pool, &person.username, identity("Partner", SUBJECT, &google)).await.unwrap();
    let shown = identities(&pool, &person.username).await;
    let expected = [
        ("Google", &google, json!("Google")),
        ("ADFS1", &work, json!("SAML")),
        // The provider's type would follow from the provider, which does not exist yet.
        ("Partner", &google, Value::Null),
    ];
    for (index, (provider, value, kind)) in expected.into_iter().enumerate() {
        let one = &shown[index];
        assert_eq!(
            (&one["providerName"], &one["userId"], &one["providerType"]),
            (&json!(provider), &json!(value), &kind)
        );
        assert_eq!((&one["issuer"], &one["primary"]), (&Value::Null, &json!(false)));
        assert!(one["dateCreated"].as_i64().is_some_and(|at| at > 1_600_000_000_000));
    }
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let own = by_name(&pool.get_user(tokens.access_token()).await.unwrap().user_attributes);
    assert_eq!(serde_json::from_str::<Value>(&own["identities"]).unwrap(), shown);
    let claims = tokens.id_token().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["identities"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        (&claims["identities"][0]["primary"], &claims["identities"][0]["userId"]),
        (&json!("false"), &json!(google))
    );
    assert!(claims["identities"][0]["dateCreated"].is_string());
    pool.verify().await;
}

#[tokio::test]
async fn an_identity_stands_for_one_user_and_a_user_has_five_of_them() {
    let pool = Pool::create().await;
    let (one, other) = (pool.person("one").await, pool.person("other").await);
    let value = |index: usize| format!("{}-{index}", one.sub);
    for index in 0..5 {
        link(&pool, &one.username, identity("ADFS", "email", &value(index))).await.unwrap();
    }
    let sixth = link(&pool, &one.username, identity("ADFS", "email", &value(5))).await;
    assert_refused(sixth, "LimitExceededException", "At most 5 identities can be linked to a user.");
    let again = link(&pool, &one.username, identity("ADFS", "email", &value(0))).await;
    assert_refused(again, "InvalidParameterException", "SourceUser is already linked to DestinationUser");
    let taken = link(&pool, &other.username, identity("ADFS", "email", &value(0))).await;
    assert_refused(taken, "AliasExistsException", "SourceUser is already linked to another user.");

    // Once unlinked from one user it can be linked to another. A linked identity may also name the user.
    unlink(&pool, identity("ADFS", "email", &value(0))).await.unwrap();
    assert_eq!(identities(&pool, &one.username).await.as_array().map(Vec::len), Some(4));
    let missing = unlink(&pool, identity("ADFS", "email", &value(0))).await;
    assert_refused(missing, "UserNotFoundException", "User does not exist.");
    link(&pool, &other.username, identity("ADFS", "email", &value(0))).await.unwrap();
    let through = link_request(&pool, identity("ADFS", "email", &value(0)), identity("Google", SUBJECT, &value(9)));
    pool.api.call(through).await.unwrap();
    assert_eq!(identities(&pool, &other.username).await.as_array().map(Vec::len), Some(2));

    // The deletion of a user frees their identities as well.
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(other.username.clone()));
    pool.api.call(AdminDeleteUserRequest { user_pool_id, username }).await.unwrap();
    link(&pool, &one.username, identity("ADFS", "email", &value(0))).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn of_users_to_whom_an_identity_is_linked_at_the_same_time_one_has_it() {
    let pool = Pool::create().await;
    let people = [pool.person("race-one").await, pool.person("race-two").await];
    let value = unique("raced");
    let links = people.iter().map(|person| link(&pool, &person.username, identity("Google", SUBJECT, &value)));
    let answers = futures::future::join_all(links).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.into_iter().filter(Result::is_err) {
        assert_refused(refused, "AliasExistsException", "SourceUser is already linked to another user.");
    }
    pool.verify().await;
}

#[tokio::test]
async fn without_its_own_provider_a_user_has_no_password() {
    let pool = Pool::create().await;
    let person = pool.person("native").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let by_mail = unlink(&pool, identity("Cognito", "email", &person.username)).await;
    let message = "User.ProviderAttributeName must be Cognito_Subject for a user of the pool itself.";
    assert_refused(by_mail, "InvalidParameterException", message);
    for _ in 0..2 {
        unlink(&pool, identity("Cognito", SUBJECT, &person.username)).await.unwrap();
    }
    let refused = pool.sign_in(&person.username, PASSWORD).await;
    assert_refused(refused, "NotAuthorizedException", "Incorrect username or password.");
    pool.get_user(tokens.access_token()).await.unwrap();
    let nobody = unlink(&pool, identity("Cognito", SUBJECT, "nobody")).await;
    assert_refused(nobody, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn only_an_administrator_gives_a_user_whose_password_was_removed_a_new_one() {
    let pool = Pool::create().await;
    let person = pool.person("taken").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let forgot = ForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(person.username.clone()),
        ..Default::default()
    };
    pool.api.call(forgot.clone()).await.unwrap();
    let code = pool.api.messages_for(&person.email, 2).await[0]["code"].as_str().unwrap().to_owned();
    unlink(&pool, identity("Cognito", SUBJECT, &person.username)).await.unwrap();

    let message = "User password cannot be reset in the current state.";
    assert_refused(pool.api.call(forgot).await, "NotAuthorizedException", message);
    let recover = ConfirmForgotPasswordRequest {
        client_id: Some(pool.client_id.clone()),
        username: Some(person.username.clone()),
        confirmation_code: Some(code),
        password: Some("Better-horse-2".to_owned()),
        ..Default::default()
    };
    assert_refused(pool.api.call(recover).await, "NotAuthorizedException", message);
    for previous_password in [None, Some(PASSWORD.to_owned())] {
        let change = ChangePasswordRequest {
            access_token: tokens.access_token.clone(),
            previous_password,
            proposed_password: Some("Better-horse-2".to_owned()),
        };
        assert_refused(pool.api.call(change).await, "NotAuthorizedException", message);
    }
    assert!(pool.sign_in(&person.username, "Better-horse-2").await.is_err());

    let set = AdminSetUserPasswordRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(person.username.clone()),
        password: Some("Other-horse-3".to_owned()),
        permanent: Some(true),
    };
    pool.api.call(set).await.unwrap();
    pool.sign_in(&person.username, "Other-horse-3").await.unwrap();
    let change = ChangePasswordRequest {
        access_token: tokens.access_token.clone(),
        previous_password: Some("Other-horse-3".to_owned()),
        proposed_password: Some("Better-horse-2".to_owned()),
    };
    pool.api.call(change).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_temporary_password_that_was_taken_is_neither_replaced_nor_sent_again() {
    let pool = Pool::create().await;
    let (username, email) = (unique("invited"), format!("{}@example.com", unique("invited")));
    pool.create_user(&username, &[("email", &email)], PASSWORD).await;
    let challenge = pool.challenge(&username, PASSWORD).await;
    unlink(&pool, identity("Cognito", SUBJECT, &username)).await.unwrap();
    let answer = pool.new_password_request(challenge.session(), &username, "Better-horse-2");
    assert_refused(pool.api.call(answer).await, "NotAuthorizedException", "Invalid session for the user.");
    let again = AdminCreateUserRequest {
        message_action: Some("RESEND".to_owned()),
        desired_delivery_mediums: vec!["EMAIL".to_owned()],
        ..pool.create_user_request(&username, &[])
    };
    let message = "The invitation can't be sent again: the user may not sign in by password.";
    assert_refused(pool.api.call(again).await, "UnsupportedUserStateException", message);
    pool.verify().await;
}

#[tokio::test]
async fn both_users_of_a_link_must_be_named_in_full() {
    let pool = Pool::create().await;
    let person = pool.person("named").await;
    let google = || identity("Google", SUBJECT, "1");
    let without = |change: fn(&mut ProviderUserIdentifierType)| {
        let mut identity = google();
        change(&mut identity);
        identity
    };
    for (source, message) in [
        (without(|it| it.provider_name = None), "Missing required parameter SourceUser.ProviderName"),
        (
            without(|it| it.provider_attribute_name = None),
            "Missing required parameter SourceUser.ProviderAttributeName",
        ),
        (
            without(|it| it.provider_attribute_value = None),
            "Missing required parameter SourceUser.ProviderAttributeValue",
        ),
        (native(&person.username), "SourceUser must be a user of an external provider."),
    ] {
        assert_refused(link(&pool, &person.username, source).await, "InvalidParameterException", message);
    }
    let unnamed = AdminDisableProviderForUserRequest {
        user_pool_id: Some(pool.id.clone()),
        user: Some(without(|it| it.provider_name = None)),
    };
    let message = "Missing required parameter User.ProviderName";
    assert_refused(pool.api.call(unnamed).await, "InvalidParameterException", message);
    let long = link(&pool, &person.username, identity("Google", SUBJECT, &"a".repeat(2_049))).await;
    assert_eq!(long.unwrap_err().exception, "InvalidParameterException");
    link(&pool, &person.username, identity("Google", SUBJECT, &"é".repeat(2_048))).await.unwrap();
    let missing = ("UserNotFoundException", "User does not exist.");
    assert_refused(link(&pool, "nobody", google()).await, missing.0, missing.1);
    let unlinked = pool.api.call(link_request(&pool, identity("ADFS", "email", "x"), google())).await;
    assert_refused(unlinked, missing.0, missing.1);
    let elsewhere = AdminLinkProviderForUserRequest {
        user_pool_id: Some("nowhere".into()),
        ..link_request(&pool, native(&person.username), google())
    };
    let message = "User pool nowhere does not exist.";
    assert_refused(pool.api.call(elsewhere).await, "ResourceNotFoundException", message);
    let elsewhere =
        AdminDisableProviderForUserRequest { user_pool_id: Some("us-east-1_000000000".into()), user: Some(google()) };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(elsewhere).await, "ResourceNotFoundException", message);
    pool.verify().await;
}
