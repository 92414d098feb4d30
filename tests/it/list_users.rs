//! ListUsers: all of them, those that a filter finds, a page at a time.

use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{Pool, email_pool, password_client, texts};

async fn list(pool: &Pool, filter: &str) -> Result<Vec<String>, Refusal> {
    pages(pool, filter, None).await
}

/// The names of the users that a filter finds, in the order of the list.
async fn pages(pool: &Pool, filter: &str, limit: Option<i32>) -> Result<Vec<String>, Refusal> {
    let mut request = request(pool, filter);
    request.limit = limit;
    let mut names = Vec::new();
    loop {
        let page = pool.api.call(request.clone()).await?;
        assert!(page.users.len() <= usize::try_from(limit.unwrap_or(60)).unwrap());
        names.extend(page.users.into_iter().map(|user| user.username.expect("a name")));
        match page.pagination_token {
            Some(token) => request.pagination_token = Some(token),
            None => return Ok(names),
        }
    }
}

fn request(pool: &Pool, filter: &str) -> ListUsersRequest {
    ListUsersRequest { user_pool_id: Some(pool.id.clone()), filter: Some(filter.into()), ..Default::default() }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Three users whose names nobody else in the pool has.
async fn people(case_sensitive: bool) -> (Pool, Vec<String>) {
    let configuration = UsernameConfigurationType { case_sensitive: Some(case_sensitive) };
    let create = CreateUserPoolRequest { username_configuration: Some(configuration), ..email_pool() };
    let pool = Pool::create_with(create, password_client()).await;
    let people = [
        ("Jane", [("email", "Jane@Example.com"), ("given_name", "Jane"), ("family_name", "Doe")]),
        ("john", [("email", "john@example.com"), ("given_name", "John"), ("family_name", "Doe")]),
        ("joan", [("email", "joan@example.org"), ("given_name", "Joan \"J\" \\o/"), ("family_name", "Roe")]),
    ];
    let mut subs = Vec::new();
    for (name, attributes) in people {
        subs.push(pool.sign_up(name, &attributes).await.unwrap().user_sub.unwrap());
    }
    let more = [("phone_number", "+12025550123"), ("name", "Jim Beam"), ("preferred_username", "Jimmy")];
    subs.push(pool.sign_up("jim", &more).await.unwrap().user_sub.unwrap());
    (pool, subs)
}

#[tokio::test]
async fn a_filter_finds_users_by_each_attribute_as_a_whole_or_by_its_beginning() {
    let (pool, subs) = people(true).await;
    assert_eq!(sorted(list(&pool, "").await.unwrap()), ["Jane", "jim", "joan", "john"]);
    let request = AdminConfirmSignUpRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some("joan".into()),
        ..Default::default()
    };
    pool.api.call(request).await.unwrap();
    let cases: [(&str, &[&str]); 30] = [
        ("username = \"Jane\"", &["Jane"]),
        ("username = \"jane\"", &[]),
        ("username ^= \"jo\"", &["joan", "john"]),
        ("username ^= \"Jo\"", &[]),
        ("email = \"jane@EXAMPLE.com\"", &["Jane"]),
        ("email ^= \"j\"", &["Jane", "joan", "john"]),
        ("email = \"jane\"", &[]),
        ("phone_number = \"+12025550123\"", &["jim"]),
        ("phone_number ^= \"+1202\"", &["jim"]),
        ("phone_number ^= \"+49\"", &[]),
        ("name = \"jim beam\"", &["jim"]),
        ("name ^= \"Jim \"", &["jim"]),
        ("given_name = \"Jane\"", &["Jane"]),
        ("given_name ^= \"jo\"", &["joan", "john"]),
        ("given_name = \"Joan \\\"J\\\" \\\\o/\"", &["joan"]),
        ("family_name = \"doe\"", &["Jane", "john"]),
        ("family_name ^= \"R\"", &["joan"]),
        ("  family_name=\"Roe\"  ", &["joan"]),
        ("preferred_username = \"jimmy\"", &["jim"]),
        ("preferred_username ^= \"\"", &["jim"]),
        ("cognito:user_status = \"confirmed\"", &["joan"]),
        ("cognito:user_status = \"CONFIRMED\"", &["joan"]),
        ("cognito:user_status ^= \"UNC\"", &["Jane", "jim", "john"]),
        ("status = \"Enabled\"", &["Jane", "jim", "joan", "john"]),
        ("status ^= \"En\"", &["Jane", "jim", "joan", "john"]),
        ("status = \"enabled\"", &[]),
        ("status = \"Disabled\"", &[]),
        ("sub = \"00000000-0000-4000-8000-000000000000\"", &[]),
        ("sub ^= \"\"", &["Jane", "jim", "joan", "john"]),
        ("sub ^= \"nobody\"", &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(sorted(list(&pool, filter).await.unwrap()), texts(expected), "{filter}");
    }
    assert_eq!(list(&pool, &format!("sub = \"{}\"", subs[0])).await.unwrap(), ["Jane"]);
    assert!(list(&pool, &format!("sub ^= \"{}\"", &subs[1][..10])).await.unwrap().contains(&"john".to_owned()));
    pool.verify().await;
}

#[tokio::test]
async fn names_are_found_in_any_case_where_the_pool_does_not_tell_cases_apart() {
    let (pool, _) = people(false).await;
    assert_eq!(list(&pool, "username = \"JANE\"").await.unwrap().len(), 1);
    assert_eq!(list(&pool, "\"username\" = \"JANE\"").await.unwrap().len(), 1, "as the SDKs' examples write it");
    assert_eq!(sorted(list(&pool, "username ^= \"JO\"").await.unwrap()), ["joan", "john"]);
    pool.verify().await;
}

#[tokio::test]
async fn a_bad_filter_is_refused() {
    let pool = Pool::create().await;
    const UNREADABLE: &str = "Error while parsing filter";
    for (filter, message) in [
        ("email", UNREADABLE),
        ("email = jane", UNREADABLE),
        ("email = \"jane", UNREADABLE),
        ("\"email = \"jane\"", UNREADABLE),
        ("email = \"a\" and name = \"b\"", UNREADABLE),
        ("custom:team = \"red\"", "Invalid search attribute: custom:team"),
        ("\"email_verified\" = \"true\"", "Invalid search attribute: email_verified"),
    ] {
        assert_refused(list(&pool, filter).await, "InvalidParameterException", message);
    }
    let null = list(&pool, "email = \"a\0b\"").await.unwrap_err();
    assert!(null.message.contains("U+0000"), "{}", null.message);
    pool.verify().await;
}

#[tokio::test]
async fn pages_go_on_where_they_ended_whatever_happens_in_between() {
    let (pool, _) = people(true).await;
    for filter in ["", "status = \"Enabled\"", "email ^= \"j\"", "sub ^= \"\""] {
        let all = list(&pool, filter).await.unwrap();
        for limit in 1..=4 {
            assert_eq!(pages(&pool, filter, Some(limit)).await.unwrap(), all, "{filter} by {limit}");
        }
    }
    assert_eq!(pages(&pool, "email ^= \"j\"", Some(1)).await.unwrap(), ["Jane", "joan", "john"], "by the value");

    let first = ListUsersRequest { limit: Some(1), ..request(&pool, "email ^= \"j\"") };
    let page = pool.api.call(first.clone()).await.unwrap();
    let request = AdminDeleteUserRequest { user_pool_id: Some(pool.id.clone()), username: Some("Jane".into()) };
    pool.api.call(request).await.unwrap();
    pool.sign_up("jack", &[("email", "jack@example.com")]).await.unwrap();
    pool.sign_up("jocelyn", &[("email", "jocelyn@example.com")]).await.unwrap();
    let next = ListUsersRequest { limit: Some(60), pagination_token: page.pagination_token.clone(), ..first.clone() };
    let names: Vec<_> =
        pool.api.call(next.clone()).await.unwrap().users.into_iter().map(|user| user.username).collect();
    assert_eq!(names, ["joan", "jocelyn", "john"].map(|name| Some(name.to_owned())));

    let other = ListUsersRequest { filter: Some("email ^= \"jo\"".into()), ..next.clone() };
    let message = "The pagination token is not one of this list.";
    assert_refused(pool.api.call(other).await, "InvalidParameterException", message);
    let elsewhere = Pool::create().await;
    let other = ListUsersRequest { user_pool_id: Some(elsewhere.id.clone()), ..next };
    assert_refused(pool.api.call(other).await, "InvalidParameterException", message);
    elsewhere.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn attributes_are_those_that_are_asked_for() {
    let (pool, subs) = people(true).await;
    let asked =
        |filter: &str, names: &[&str]| ListUsersRequest { attributes_to_get: texts(names), ..request(&pool, filter) };
    let page = pool.api.call(asked("username = \"Jane\"", &["email", "sub"])).await.unwrap();
    let shown: Vec<_> = page.users[0].attributes.iter().map(|it| (it.name(), it.value())).collect();
    assert_eq!(shown, [("sub", subs[0].as_str()), ("email", "Jane@Example.com")]);
    let everything = pool.admin_get_user("Jane").await.unwrap();
    let page = pool.api.call(asked("username = \"Jane\"", &[])).await.unwrap();
    assert_eq!(page.users[0].attributes, everything.user_attributes);
    assert_eq!(page.users[0].user_create_date, everything.user_create_date);
    assert_eq!(page.users[0].user_last_modified_date, everything.user_last_modified_date);
    assert_eq!((page.users[0].enabled, page.users[0].user_status.as_deref()), (Some(true), Some("UNCONFIRMED")));

    let message = "One or more requested attributes do not exist.";
    for missing in ["shoe_size", "email"] {
        assert_refused(pool.api.call(asked("", &[missing])).await, "InvalidParameterException", message);
    }
    pool.verify().await;
}

#[tokio::test]
async fn the_aws_sdk_lists_users_page_by_page() {
    let (pool, _) = people(true).await;
    let mut names = Vec::new();
    let mut pages = pool
        .api
        .aws()
        .list_users()
        .user_pool_id(&pool.id)
        .filter("family_name = \"Doe\"")
        .limit(1)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        names.extend(page.unwrap().users().iter().filter_map(|user| user.username().map(str::to_owned)));
    }
    assert_eq!(sorted(names), ["Jane", "john"]);
    let nowhere = ListUsersRequest { user_pool_id: Some("us-east-1_000000000".into()), ..Default::default() };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(nowhere).await, "ResourceNotFoundException", message);
    pool.verify().await;
}
