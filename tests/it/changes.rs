//! Pools and clients that are changed, listed and deleted.

use std::collections::BTreeSet;

use userpool::proto::v1::*;

use crate::support::client::{Api, assert_refused, eventually};
use crate::support::pool::{PASSWORD, Pool, email_pool, password_client, texts};
use crate::support::tables::about_pool;

fn update(pool: &Pool) -> UpdateUserPoolRequest {
    UpdateUserPoolRequest { user_pool_id: Some(pool.id.clone()), ..Default::default() }
}

fn update_client(pool: &Pool) -> UpdateUserPoolClientRequest {
    UpdateUserPoolClientRequest {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(pool.client_id.clone()),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_update_of_a_pool_resets_missing_settings_to_their_defaults() {
    let pool = Pool::create().await;
    let before = pool.describe().await;
    let request = UpdateUserPoolRequest {
        policies: Some(UserPoolPolicyType {
            password_policy: Some(PasswordPolicyType { minimum_length: Some(12), ..Default::default() }),
            ..Default::default()
        }),
        pool_name: Some("renamed".into()),
        user_pool_tags: [("team".to_owned(), "identity".to_owned())].into(),
        ..update(&pool)
    };
    pool.api.call(request).await.unwrap();
    let after = pool.describe().await;
    assert_eq!(after.name.as_deref(), Some("renamed"));
    assert_eq!(after.user_pool_tags["team"], "identity");
    let policy = after.policies.unwrap().password_policy.unwrap();
    assert_eq!((policy.minimum_length, policy.require_symbols), (Some(12), Some(false)));
    // The creation named it, and the update does not.
    assert_eq!(after.auto_verified_attributes, Vec::<String>::new());
    assert_eq!(after.schema_attributes, before.schema_attributes);
    assert_eq!(after.creation_date, before.creation_date);

    // Both processes read their own and each other's writes: the next sign-up obeys the new policy.
    for _ in 0..2 {
        let short = pool.sign_up_request("short", &[]);
        let short = SignUpRequest { password: Some("Aa1!aaaaa".into()), ..short };
        assert_refused(
            pool.api.call(short).await,
            "InvalidPasswordException",
            "Password did not conform with policy: Password not long enough",
        );
    }
    let function = InboundFederationLambdaType {
        lambda_version: Some("V1_0".into()),
        lambda_arn: Some("arn:aws:lambda:us-east-1:123456789012:function:check".into()),
    };
    let triggers = LambdaConfigType { inbound_federation: Some(function), ..Default::default() };
    let request = UpdateUserPoolRequest { lambda_config: Some(triggers), ..update(&pool) };
    let message = "LambdaConfig.InboundFederation is not supported by this server yet.";
    assert_refused(pool.api.call(request).await, "InvalidParameterException", message);
    pool.verify().await;
}

#[tokio::test]
async fn a_change_that_changes_nothing_leaves_no_event() {
    let pool = Pool::create_with(CreateUserPoolRequest::default(), password_client()).await;
    pool.api.call(update(&pool)).await.unwrap();
    let once = pool.describe().await;
    pool.api.call(update(&pool)).await.unwrap();
    assert_eq!(pool.describe().await.last_modified_date, once.last_modified_date);
    pool.verify().await;
}

#[tokio::test]
async fn a_protected_pool_is_not_deleted_and_an_unprotected_one_is_gone_at_once() {
    let pool = Pool::create().await;
    let person = pool.person("deleted-with-pool").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let delete = DeleteUserPoolRequest { user_pool_id: Some(pool.id.clone()) };
    let protect = UpdateUserPoolRequest {
        deletion_protection: Some("ACTIVE".into()),
        auto_verified_attributes: texts(&["email"]),
        ..update(&pool)
    };
    pool.api.call(protect.clone()).await.unwrap();
    let refused = pool.api.call(delete.clone()).await.unwrap_err();
    assert_eq!(refused.exception, "InvalidParameterException");
    assert!(refused.message.contains("deletion protection is activated"), "{}", refused.message);

    pool.api.call(UpdateUserPoolRequest { deletion_protection: Some("INACTIVE".into()), ..protect }).await.unwrap();
    assert!(tables_of(&pool).await.len() > 2, "there is something to purge");
    pool.api.call(delete.clone()).await.unwrap();
    let gone = format!("User pool {} does not exist.", pool.id);
    for _ in 0..2 {
        assert_refused(pool.api.call(delete.clone()).await, "ResourceNotFoundException", &gone);
        // A process that knows the pool can still check the signature, another one can't.
        let exception = pool.get_user(tokens.access_token()).await.unwrap_err().exception;
        assert_eq!(exception, "NotAuthorizedException");
        // A caller who knows only the client learns nothing about its pool.
        let no_client = format!("User pool client {} does not exist.", pool.client_id);
        assert_refused(pool.sign_in(&person.username, PASSWORD).await, "ResourceNotFoundException", &no_client);
    }
    // The purge ends with its second sweep.
    let purged = async || tables_of(&pool).await.iter().all(|table| table == "log" || table == "purges");
    assert!(eventually(purged).await, "everything but the log is purged: {:?}", tables_of(&pool).await);
    pool.verify().await;
}

/// The tables in which a pool still has rows.
async fn tables_of(pool: &Pool) -> Vec<String> {
    let database = sqlx::PgPool::connect(&pool.api.environment().database_url()).await.expect("the database");
    let tables = about_pool(&database, &pool.id).await;
    database.close().await;
    tables
}

#[tokio::test]
async fn pools_are_listed_page_by_page_each_once() {
    let api = Api::connect().await;
    let (one, other) = (Pool::create().await, Pool::create().await);
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let request = ListUserPoolsRequest { max_results: Some(7), next_token: token };
        let page = api.call(request).await.unwrap();
        assert!(page.user_pools.len() <= 7);
        seen.extend(page.user_pools.into_iter().filter_map(|pool| pool.id));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len());
    assert!(distinct.contains(&one.id) && distinct.contains(&other.id));
    let foreign = ListUserPoolsRequest { max_results: Some(7), next_token: Some("bm8.bm8".into()) };
    let message = "The pagination token is not one of this list.";
    assert_refused(api.call(foreign).await, "InvalidParameterException", message);
    one.verify().await;
    other.verify().await;
}

#[tokio::test]
async fn clients_are_listed_page_by_page_and_a_token_is_bound_to_its_pool() {
    let (pool, stranger) = (Pool::create().await, Pool::create().await);
    for _ in 0..4 {
        pool.add_client(password_client()).await;
    }
    let list = |pool: &Pool, token| ListUserPoolClientsRequest {
        user_pool_id: Some(pool.id.clone()),
        max_results: Some(2),
        next_token: token,
        ..Default::default()
    };
    let (mut seen, mut token) = (BTreeSet::new(), None);
    loop {
        let page = pool.api.call(list(&pool, token)).await.unwrap();
        for client in page.user_pool_clients {
            assert_eq!(client.user_pool_id.as_deref(), Some(pool.id.as_str()));
            assert!(seen.insert(client.client_id), "a client comes once");
        }
        token = page.next_token.clone();
        match token {
            None => break,
            Some(ref token) => {
                let refused = pool.api.call(list(&stranger, Some(token.clone()))).await;
                let message = "The pagination token is not one of this list.";
                assert_refused(refused, "InvalidParameterException", message);
            }
        }
    }
    assert_eq!(seen.len(), 5);
    pool.verify().await;
    stranger.verify().await;
}

#[tokio::test]
async fn a_client_gets_new_settings_at_once_at_both_processes() {
    let pool = Pool::create().await;
    let person = pool.person("changed").await;
    let closed = UpdateUserPoolClientRequest {
        client_name: Some("renamed".into()),
        explicit_auth_flows: texts(&["ALLOW_USER_SRP_AUTH"]),
        ..update_client(&pool)
    };
    let changed = pool.api.call(closed).await.unwrap().user_pool_client.unwrap();
    assert_eq!(changed.client_name.as_deref(), Some("renamed"));
    for _ in 0..2 {
        assert_refused(
            pool.sign_in(&person.username, PASSWORD).await,
            "InvalidParameterException",
            "USER_PASSWORD_AUTH flow not enabled for this client",
        );
    }
    let open = UpdateUserPoolClientRequest {
        explicit_auth_flows: texts(&["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]),
        access_token_validity: Some(10),
        token_validity_units: Some(TokenValidityUnitsType {
            access_token: Some("minutes".into()),
            ..Default::default()
        }),
        ..update_client(&pool)
    };
    pool.api.call(open).await.unwrap();
    assert_eq!(pool.sign_in(&person.username, PASSWORD).await.unwrap().expires_in, Some(600));
    let refused = UpdateUserPoolClientRequest { write_attributes: texts(&["nowhere"]), ..update_client(&pool) };
    assert_eq!(pool.api.call(refused).await.unwrap_err().exception, "InvalidParameterException");
    pool.verify().await;
}

#[tokio::test]
async fn the_tokens_of_a_deleted_client_die_with_it() {
    let pool = Pool::create().await;
    let person = pool.person("orphaned").await;
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let delete =
        DeleteUserPoolClientRequest { user_pool_id: Some(pool.id.clone()), client_id: Some(pool.client_id.clone()) };
    pool.api.call(delete.clone()).await.unwrap();
    let gone = format!("User pool client {} does not exist.", pool.client_id);
    for _ in 0..2 {
        let revoked = "Access Token has been revoked";
        assert_refused(pool.get_user(tokens.access_token()).await, "NotAuthorizedException", revoked);
        assert_refused(pool.refresh(tokens.refresh_token()).await, "ResourceNotFoundException", &gone);
        assert_refused(pool.api.call(delete.clone()).await, "ResourceNotFoundException", &gone);
    }
    pool.admin_get_user(&person.username).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn changes_at_one_moment_are_all_made_or_refused_by_name() {
    let pool = Pool::create_with(email_pool(), password_client()).await;
    let changes = (0..6).map(|index| {
        let request = UpdateUserPoolRequest { pool_name: Some(format!("name-{index}")), ..update(&pool) };
        pool.api.call_once(request)
    });
    let answers = futures::future::join_all(changes).await;
    assert!(answers.iter().any(Result::is_ok));
    let refusals = answers.iter().filter_map(|answer| answer.as_ref().err());
    for refusal in refusals {
        assert_eq!(refusal.exception, "ConcurrentModificationException");
    }
    pool.verify().await;
}
