//! Groups: what an administrator makes of them, who is in them, and what tokens say of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use serde_json::{Value, json};
use userpool::proto::v1::*;

use crate::support::client::{Refusal, assert_refused};
use crate::support::pool::{PASSWORD, Pool, unique};

const NO_GROUP: (&str, &str) = ("ResourceNotFoundException", "Group not found.");
const NO_USER: (&str, &str) = ("UserNotFoundException", "User does not exist.");
const MEMBERS: (&str, &str) =
    ("InvalidParameterException", "The group has members. Only a group without members can be deleted.");

fn named(pool: &Pool, name: &str) -> CreateGroupRequest {
    CreateGroupRequest { user_pool_id: Some(pool.id.clone()), group_name: Some(name.into()), ..Default::default() }
}

async fn create(pool: &Pool, request: CreateGroupRequest) -> Result<GroupType, Refusal> {
    Ok(pool.api.call(request).await?.group.expect("a group"))
}

async fn get(pool: &Pool, name: &str) -> Result<GroupType, Refusal> {
    let request = GetGroupRequest { user_pool_id: Some(pool.id.clone()), group_name: Some(name.into()) };
    Ok(pool.api.call(request).await?.group.expect("a group"))
}

async fn delete(pool: &Pool, name: &str) -> Result<(), Refusal> {
    let request = DeleteGroupRequest { user_pool_id: Some(pool.id.clone()), group_name: Some(name.into()) };
    pool.api.call(request).await.map(drop)
}

async fn add(pool: &Pool, username: &str, group: &str) -> Result<(), Refusal> {
    let request = AdminAddUserToGroupRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.into()),
        group_name: Some(group.into()),
    };
    pool.api.call(request).await.map(drop)
}

async fn remove(pool: &Pool, username: &str, group: &str) -> Result<(), Refusal> {
    let request = AdminRemoveUserFromGroupRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.into()),
        group_name: Some(group.into()),
    };
    pool.api.call(request).await.map(drop)
}

/// The members of a group, page by page.
async fn members(pool: &Pool, group: &str, limit: Option<i32>) -> Result<Vec<UserType>, Refusal> {
    let mut request = ListUsersInGroupRequest {
        user_pool_id: Some(pool.id.clone()),
        group_name: Some(group.into()),
        limit,
        next_token: None,
    };
    let mut users = Vec::new();
    loop {
        let page = pool.api.call(request.clone()).await?;
        let most = limit.filter(|limit| *limit > 0).unwrap_or(60);
        assert!(page.users.len() <= usize::try_from(most).unwrap());
        users.extend(page.users);
        match page.next_token {
            Some(token) => request.next_token = Some(token),
            None => return Ok(users),
        }
    }
}

/// The names of a user's groups, page by page.
async fn groups_of(pool: &Pool, username: &str, limit: Option<i32>) -> Result<Vec<String>, Refusal> {
    let mut request = AdminListGroupsForUserRequest {
        user_pool_id: Some(pool.id.clone()),
        username: Some(username.into()),
        limit,
        next_token: None,
    };
    let mut names = Vec::new();
    loop {
        let page = pool.api.call(request.clone()).await?;
        names.extend(page.groups.into_iter().map(|group| group.group_name.expect("a name")));
        match page.next_token {
            Some(token) => request.next_token = Some(token),
            None => return Ok(names),
        }
    }
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}

#[tokio::test]
async fn a_group_is_created_changed_shown_and_deleted() {
    let pool = Pool::create().await;
    let request = CreateGroupRequest {
        description: Some("may read".into()),
        role_arn: Some("arn:aws:iam::123456789012:role/readers".into()),
        precedence: Some(4),
        ..named(&pool, "readers")
    };
    let created = create(&pool, request.clone()).await.unwrap();
    assert_eq!(created.group_name.as_deref(), Some("readers"));
    assert_eq!(created.user_pool_id.as_deref(), Some(pool.id.as_str()));
    assert_eq!(
        (&created.description, &created.role_arn, created.precedence),
        (&request.description, &request.role_arn, Some(4))
    );
    assert!(created.creation_date.is_some());
    assert_eq!(created.creation_date, created.last_modified_date);
    assert_eq!(get(&pool, "readers").await.unwrap(), created);
    let exists = ("GroupExistsException", "A group with the name already exists.");
    assert_refused(create(&pool, request).await, exists.0, exists.1);
    assert_refused(get(&pool, "Readers").await, NO_GROUP.0, NO_GROUP.1);

    let update = UpdateGroupRequest {
        user_pool_id: Some(pool.id.clone()),
        group_name: Some("readers".into()),
        description: Some(String::new()),
        precedence: Some(0),
        ..Default::default()
    };
    let updated = pool.api.call(update.clone()).await.unwrap().group.unwrap();
    assert_eq!((updated.description.as_deref(), updated.precedence), (Some(""), Some(0)));
    assert_eq!(updated.role_arn, created.role_arn, "what is not given stays");
    assert_eq!(updated.creation_date, created.creation_date);
    assert_ne!(updated.last_modified_date, created.last_modified_date);
    assert_eq!(pool.api.call(update).await.unwrap().group, Some(updated.clone()), "nothing is left to change");
    assert_eq!(get(&pool, "readers").await.unwrap(), updated);

    delete(&pool, "readers").await.unwrap();
    assert_refused(get(&pool, "readers").await, NO_GROUP.0, NO_GROUP.1);
    assert_refused(delete(&pool, "readers").await, NO_GROUP.0, NO_GROUP.1);
    let missing = UpdateGroupRequest {
        user_pool_id: Some(pool.id.clone()),
        group_name: Some("readers".into()),
        ..Default::default()
    };
    assert_refused(pool.api.call(missing).await, NO_GROUP.0, NO_GROUP.1);
    let again = create(&pool, named(&pool, "readers")).await.unwrap();
    assert_eq!((again.description, again.role_arn, again.precedence), (None, None, None));
    pool.verify().await;
}

#[tokio::test]
async fn groups_of_another_pool_are_not_there() {
    let (pool, other) = (Pool::create().await, Pool::create().await);
    create(&pool, named(&pool, "readers")).await.unwrap();
    assert_refused(get(&other, "readers").await, NO_GROUP.0, NO_GROUP.1);
    create(&other, named(&other, "readers")).await.unwrap();
    let nowhere = "us-east-1_000000000".to_owned();
    let request = CreateGroupRequest { user_pool_id: Some(nowhere.clone()), ..named(&pool, "readers") };
    let message = "User pool us-east-1_000000000 does not exist.";
    assert_refused(pool.api.call(request).await, "ResourceNotFoundException", message);
    let request = ListGroupsRequest { user_pool_id: Some(nowhere), ..Default::default() };
    assert_refused(pool.api.call(request).await, "ResourceNotFoundException", message);
    other.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn groups_are_listed_by_name_a_page_at_a_time() {
    let pool = Pool::create().await;
    for name in ["d", "b", "a", "c", "B"] {
        create(&pool, named(&pool, name)).await.unwrap();
    }
    let mut request = ListGroupsRequest { user_pool_id: Some(pool.id.clone()), limit: Some(2), next_token: None };
    let mut names = Vec::new();
    for left in [3, 1, 0] {
        let page = pool.api.call(request.clone()).await.unwrap();
        names.extend(page.groups.into_iter().map(|group| group.group_name.unwrap()));
        assert_eq!(page.next_token.is_some(), left > 0);
        request.next_token = page.next_token;
        // A page goes on after the last entry of the one before, whatever was added in between.
        let _ = create(&pool, named(&pool, "A")).await;
    }
    assert_eq!(names, ["B", "a", "b", "c", "d"]);
    let request = ListGroupsRequest { user_pool_id: Some(pool.id.clone()), limit: Some(0), next_token: None };
    assert_eq!(pool.api.call(request.clone()).await.unwrap().groups.len(), 6, "0 is no limit");
    let nonsense = Some("nonsense".to_owned());
    let request = ListGroupsRequest { next_token: nonsense.clone(), ..request };
    let message = "The pagination token is not one of this list.";
    assert_refused(pool.api.call(request).await, "InvalidParameterException", message);
    let (user_pool_id, group_name) = (Some(pool.id.clone()), Some("a".to_owned()));
    let of_group = ListUsersInGroupRequest { user_pool_id, group_name, next_token: nonsense.clone(), limit: None };
    assert_refused(pool.api.call(of_group).await, "InvalidParameterException", message);
    let (user_pool_id, username) = (Some(pool.id.clone()), Some(pool.person("member").await.username));
    let of_user = AdminListGroupsForUserRequest { user_pool_id, username, next_token: nonsense, limit: None };
    assert_refused(pool.api.call(of_user).await, "InvalidParameterException", message);
    pool.verify().await;
}

#[tokio::test]
async fn a_user_is_put_into_groups_and_taken_out_of_them() {
    let pool = Pool::create().await;
    for name in ["b", "a", "c"] {
        create(&pool, named(&pool, name)).await.unwrap();
    }
    let jane = unique("jane");
    let sub = pool.sign_up(&jane, &[]).await.unwrap().user_sub.unwrap();
    let before = pool.admin_get_user(&jane).await.unwrap();
    for (key, group) in [(&jane, "b"), (&sub, "a"), (&jane, "c"), (&jane, "c")] {
        add(&pool, key, group).await.unwrap();
    }
    assert_eq!(groups_of(&pool, &jane, None).await.unwrap(), ["a", "b", "c"]);
    assert_eq!(groups_of(&pool, &sub, Some(1)).await.unwrap(), ["a", "b", "c"], "page by page");
    let found = members(&pool, "c", None).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].username.as_ref(), Some(&jane));
    assert_eq!(found[0].attributes, before.user_attributes);
    assert_eq!((found[0].enabled, found[0].user_status.as_deref()), (Some(true), Some("UNCONFIRMED")));
    assert_eq!(found[0].user_last_modified_date, before.user_last_modified_date);

    remove(&pool, &jane, "b").await.unwrap();
    remove(&pool, &jane, "b").await.unwrap();
    assert_eq!(groups_of(&pool, &jane, None).await.unwrap(), ["a", "c"]);
    assert_eq!(members(&pool, "b", None).await.unwrap(), []);

    for answer in [add(&pool, &jane, "z").await, remove(&pool, &jane, "z").await] {
        assert_refused(answer, NO_GROUP.0, NO_GROUP.1);
    }
    for answer in [add(&pool, "nobody", "a").await, remove(&pool, "nobody", "a").await] {
        assert_refused(answer, NO_USER.0, NO_USER.1);
    }
    assert_refused(groups_of(&pool, "nobody", None).await, NO_USER.0, NO_USER.1);
    assert_refused(members(&pool, "z", None).await, NO_GROUP.0, NO_GROUP.1);
    pool.verify().await;
}

#[tokio::test]
async fn members_are_listed_a_page_at_a_time_and_go_with_their_user() {
    let pool = Pool::create().await;
    create(&pool, named(&pool, "many")).await.unwrap();
    let mut names: Vec<String> = (0..5).map(|_| unique("member")).collect();
    for name in &names {
        pool.sign_up(name, &[]).await.unwrap();
        add(&pool, name, "many").await.unwrap();
    }
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let listed = |users: Vec<UserType>| sorted(users.into_iter().map(|user| user.username.unwrap()).collect());
    for limit in [None, Some(2), Some(5), Some(0)] {
        assert_eq!(listed(members(&pool, "many", limit).await.unwrap()), sorted(names.clone()));
    }
    let gone = names.pop().unwrap();
    let request = AdminDeleteUserRequest { user_pool_id: Some(pool.id.clone()), username: Some(gone) };
    pool.api.call(request).await.unwrap();
    assert_eq!(listed(members(&pool, "many", None).await.unwrap()), sorted(names.clone()));

    assert_refused(delete(&pool, "many").await, MEMBERS.0, MEMBERS.1);
    for name in &names {
        remove(&pool, name, "many").await.unwrap();
    }
    delete(&pool, "many").await.unwrap();
    create(&pool, named(&pool, "many")).await.unwrap();
    assert_eq!(members(&pool, "many", None).await.unwrap(), []);
    pool.verify().await;
}

#[tokio::test]
async fn tokens_say_in_which_groups_a_user_is_now() {
    let pool = Pool::create().await;
    let jane = pool.person("jane").await;
    let tokens = pool.sign_in(&jane.username, PASSWORD).await.unwrap();
    for token in [tokens.id_token(), tokens.access_token()] {
        let claims = claims(token);
        for name in ["cognito:groups", "cognito:roles", "cognito:preferred_role"] {
            assert_eq!(claims.get(name), None, "nobody without groups has {name}");
        }
    }
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    for (name, precedence, named_role) in
        [("plain", None, None), ("editors", Some(2), Some("editors")), ("admins", Some(0), Some("admins"))]
    {
        let role_arn = named_role.map(role);
        create(&pool, CreateGroupRequest { precedence, role_arn, ..named(&pool, name) }).await.unwrap();
        add(&pool, &jane.username, name).await.unwrap();
    }
    let refreshed = pool.refresh(tokens.refresh_token()).await.unwrap();
    let signed_in = pool.sign_in(&jane.username, PASSWORD).await.unwrap();
    for tokens in [&refreshed, &signed_in] {
        let (id, access) = (claims(tokens.id_token()), claims(tokens.access_token()));
        assert_eq!(id["cognito:groups"], json!(["admins", "editors", "plain"]));
        assert_eq!(id["cognito:roles"], json!([role("admins"), role("editors")]));
        assert_eq!(id["cognito:preferred_role"], json!(role("admins")));
        assert_eq!(access["cognito:groups"], id["cognito:groups"]);
        assert_eq!((access.get("cognito:roles"), access.get("cognito:preferred_role")), (None, None));
    }
    // Two groups with the same rank and different roles: no role is preferred.
    let request = UpdateGroupRequest {
        user_pool_id: Some(pool.id.clone()),
        group_name: Some("editors".into()),
        precedence: Some(0),
        ..Default::default()
    };
    pool.api.call(request).await.unwrap();
    let id = claims(pool.refresh(tokens.refresh_token()).await.unwrap().id_token());
    assert_eq!(id["cognito:groups"], json!(["admins", "editors", "plain"]));
    assert_eq!(id.get("cognito:preferred_role"), None);

    remove(&pool, &jane.username, "admins").await.unwrap();
    let id = claims(pool.refresh(tokens.refresh_token()).await.unwrap().id_token());
    assert_eq!(id["cognito:groups"], json!(["editors", "plain"]));
    assert_eq!(id["cognito:preferred_role"], json!(role("editors")));
    pool.verify().await;
}

#[tokio::test]
async fn one_name_is_given_to_one_group() {
    let pool = Pool::create().await;
    let answers = join_all((0..12).map(|_| pool.api.call_once(named(&pool, "wanted")))).await;
    let created = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(created, 1);
    for refusal in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(refusal.exception.as_str(), "GroupExistsException" | "TooManyRequestsException"));
    }
    pool.verify().await;
}

#[tokio::test]
async fn the_aws_sdk_manages_groups() {
    let pool = Pool::create().await;
    let (aws, jane) = (pool.api.aws(), unique("jane"));
    pool.sign_up(&jane, &[]).await.unwrap();
    let created = aws.create_group().user_pool_id(&pool.id).group_name("readers").precedence(0).send().await.unwrap();
    assert_eq!(created.group().unwrap().precedence(), Some(0));
    let adds = aws.admin_add_user_to_group().user_pool_id(&pool.id).username(&jane).group_name("readers");
    adds.send().await.unwrap();
    let listed = aws.admin_list_groups_for_user().user_pool_id(&pool.id).username(&jane).send().await.unwrap();
    assert_eq!(listed.groups()[0].group_name(), Some("readers"));
    let listed = aws.list_users_in_group().user_pool_id(&pool.id).group_name("readers").send().await.unwrap();
    assert_eq!(listed.users()[0].username(), Some(jane.as_str()));
    let refused = aws.delete_group().user_pool_id(&pool.id).group_name("readers").send().await.unwrap_err();
    assert!(refused.into_service_error().is_invalid_parameter_exception());
    pool.verify().await;
}
