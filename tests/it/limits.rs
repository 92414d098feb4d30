//! Limits on counts: a limit holds for any number of simultaneous requests, at two processes.

use futures::future::join_all;
use sqlx::{Connection, PgConnection};
use userpool::limits::RECORDED_A_MINUTE;
use userpool::proto::v1::*;

use crate::support::client::{Api, Refusal, assert_refused};
use crate::support::dev::shared;
use crate::support::environment::{Account, Dev};
use crate::support::http;
use crate::support::pool::{PASSWORD, Pool, email_pool, parameters, password_client, text_attribute, unique};
use crate::support::serve::{Installation, Serve};

const FULL: &str = "LimitExceededException";
const GROUPS: &str = "The user pool has as many groups as it can have.";
const CLIENTS: &str = "The user pool has as many app clients as it can have.";
/// How many ask at the same time where three are allowed.
const MANY: usize = 24;

/// Two servers on a database of their own, with low limits.
struct Servers {
    api: Api,
    installation: Installation,
    _running: Vec<Serve>,
}

async fn servers(database: &'static str) -> Servers {
    let start = move || {
        let postgres = &shared().postgres;
        postgres.create_database(database);
        let installation = Installation::on(&postgres.url(database));
        let limits = [
            "--limits-groups-per-pool=3",
            "--limits-clients-per-pool=3",
            "--limits-custom-attributes-per-pool=3",
            "--limits-groups-per-user=2",
            "--limits-identities-per-user=2",
            "--limits-devices-per-user=2",
        ];
        let running = vec![installation.start(&limits), installation.start(&limits)];
        (installation, running)
    };
    let (installation, running) = tokio::task::spawn_blocking(start).await.expect("the servers start");
    let (id, secret) = installation.token.split_once('.').expect("a token");
    let account = Account { access_key_id: id.to_owned(), secret: secret.to_owned() };
    let process = |server: &Serve| Dev {
        grpc: server.grpc,
        http: server.http,
        account: account.clone(),
        log: installation.directory.join("log"),
        database_url: installation.database_url.clone(),
    };
    let api = Api::of(&running.iter().map(process).collect::<Vec<_>>());
    Servers { api, installation, _running: running }
}

async fn new_pool(api: &Api) -> String {
    let request = CreateUserPoolRequest { pool_name: Some("limits".to_owned()), ..email_pool() };
    let created = api.call(request).await.expect("a pool is created");
    created.user_pool.and_then(|pool| pool.id).expect("it has an id")
}

fn group_request(pool: &str, name: &str) -> CreateGroupRequest {
    CreateGroupRequest { user_pool_id: Some(pool.to_owned()), group_name: Some(name.to_owned()), ..Default::default() }
}

fn client_request(pool: &str) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        user_pool_id: Some(pool.to_owned()),
        client_name: Some("one of many".to_owned()),
        ..password_client()
    }
}

/// How many succeeded. All others must be refused in this way.
fn successes<T: std::fmt::Debug>(answers: Vec<Result<T, Refusal>>, refusal: (&str, &str)) -> usize {
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    for answer in refused {
        assert_refused(answer, refusal.0, refusal.1);
    }
    good.len()
}

#[tokio::test]
async fn a_pool_never_has_more_groups_clients_and_attributes_than_it_may() {
    let servers = servers("limits_of_pools").await;
    let api = &servers.api;
    let pool = &new_pool(api).await;
    let groups = join_all((0..MANY).map(|index| api.call(group_request(pool, &format!("group-{index}"))))).await;
    assert_eq!(successes(groups, (FULL, GROUPS)), 3);
    let listed = api.call(ListGroupsRequest { user_pool_id: Some(pool.clone()), ..Default::default() }).await.unwrap();
    assert_eq!(listed.groups.len(), 3);
    // Deleting one makes room for another.
    let ended = listed.groups[0].group_name.clone();
    let delete = DeleteGroupRequest { user_pool_id: Some(pool.clone()), group_name: ended };
    api.call(delete).await.unwrap();
    let groups = join_all((0..MANY).map(|index| api.call(group_request(pool, &format!("later-{index}"))))).await;
    assert_eq!(successes(groups, (FULL, GROUPS)), 1);

    let clients = join_all((0..MANY).map(|_| api.call(client_request(pool)))).await;
    assert_eq!(successes(clients, (FULL, CLIENTS)), 3);
    let list = ListUserPoolClientsRequest { user_pool_id: Some(pool.clone()), ..Default::default() };
    let listed = api.call(list).await.unwrap().user_pool_clients;
    assert_eq!(listed.len(), 3);
    let client_id = listed[0].client_id.clone();
    api.call(DeleteUserPoolClientRequest { user_pool_id: Some(pool.clone()), client_id }).await.unwrap();
    let clients = join_all((0..MANY).map(|_| api.call(client_request(pool)))).await;
    assert_eq!(successes(clients, (FULL, CLIENTS)), 1);

    let added = (0..MANY).map(|index| AddCustomAttributesRequest {
        user_pool_id: Some(pool.clone()),
        custom_attributes: vec![text_attribute(&format!("a{index}"))],
    });
    let added = join_all(added.map(|request| api.call(request))).await;
    let message = "A user pool can have at most 3 custom attributes.";
    assert_eq!(successes(added, ("InvalidParameterException", message)), 3);
    let four = CreateUserPoolRequest {
        pool_name: Some("too many".to_owned()),
        schema: (0..4).map(|index| text_attribute(&format!("a{index}"))).collect(),
        ..Default::default()
    };
    assert_refused(api.call(four).await, FULL, message);
    // Each pool has its own limit.
    let other = &new_pool(api).await;
    api.call(group_request(other, "group")).await.unwrap();
    servers.verify().await;
}

#[tokio::test]
async fn a_user_is_never_in_more_groups_and_has_no_more_identities_than_it_may() {
    let servers = servers("limits_of_users").await;
    let api = &servers.api;
    let pool = &new_pool(api).await;
    let groups = ["one", "two", "three"];
    for name in groups {
        api.call(group_request(pool, name)).await.unwrap();
    }
    let username = Some("jane".to_owned());
    let jane = AdminCreateUserRequest {
        user_pool_id: Some(pool.clone()),
        username: username.clone(),
        message_action: Some("SUPPRESS".to_owned()),
        ..Default::default()
    };
    api.call(jane).await.unwrap();
    let joins = groups.into_iter().cycle().take(MANY).map(|group| AdminAddUserToGroupRequest {
        user_pool_id: Some(pool.clone()),
        username: username.clone(),
        group_name: Some(group.to_owned()),
    });
    let joins = join_all(joins.map(|request| api.call(request))).await;
    successes(joins, ("InvalidParameterException", "A user can be in at most 2 groups."));
    let list = AdminListGroupsForUserRequest {
        user_pool_id: Some(pool.clone()),
        username: username.clone(),
        ..Default::default()
    };
    assert_eq!(api.call(list).await.unwrap().groups.len(), 2);

    let identity = |provider: &str, attribute: &str, value: &str| ProviderUserIdentifierType {
        provider_name: Some(provider.to_owned()),
        provider_attribute_name: Some(attribute.to_owned()),
        provider_attribute_value: Some(value.to_owned()),
    };
    let links = (0..MANY).map(|index| AdminLinkProviderForUserRequest {
        user_pool_id: Some(pool.clone()),
        destination_user: Some(identity("Cognito", "Username", "jane")),
        source_user: Some(identity("Google", "Cognito_Subject", &index.to_string())),
    });
    let links = join_all(links.map(|request| api.call(request))).await;
    assert_eq!(successes(links, (FULL, "At most 2 identities can be linked to a user.")), 2);
    servers.verify().await;
}

#[tokio::test]
async fn a_user_never_has_more_devices_than_it_may_and_each_new_one_is_taken() {
    let servers = servers("limits_of_devices").await;
    let api = &servers.api;
    let pool_name = Some("limits".to_owned());
    let tracking = CreateUserPoolRequest { pool_name, device_configuration: Some(Default::default()), ..email_pool() };
    let pool = api.call(tracking).await.unwrap().user_pool.unwrap().id.unwrap();
    let user_pool_id = Some(pool.clone());
    let client = CreateUserPoolClientRequest { user_pool_id: user_pool_id.clone(), ..password_client() };
    let client = CreateUserPoolClientRequest { client_name: Some("app".to_owned()), ..client };
    let client_id = api.call(client).await.unwrap().user_pool_client.unwrap().client_id;
    let username = Some("jane".to_owned());
    let jane = AdminCreateUserRequest {
        user_pool_id: user_pool_id.clone(),
        username: username.clone(),
        message_action: Some("SUPPRESS".to_owned()),
        ..Default::default()
    };
    api.call(jane).await.unwrap();
    let password = AdminSetUserPasswordRequest {
        user_pool_id: user_pool_id.clone(),
        username: username.clone(),
        password: Some(PASSWORD.to_owned()),
        permanent: Some(true),
    };
    api.call(password).await.unwrap();
    let sign_in = InitiateAuthRequest {
        auth_flow: Some("USER_PASSWORD_AUTH".to_owned()),
        client_id: client_id.clone(),
        auth_parameters: parameters(&[("USERNAME", "jane"), ("PASSWORD", PASSWORD)]),
        ..Default::default()
    };
    let mut signed_in = Vec::new();
    for _ in 0..8 {
        signed_in.push(api.call(sign_in.clone()).await.unwrap().authentication_result.unwrap());
    }
    let bare = |tokens: &AuthenticationResultType| ConfirmDeviceRequest {
        access_token: tokens.access_token.clone(),
        device_key: tokens.new_device_metadata.as_ref().and_then(|device| device.device_key.clone()),
        ..Default::default()
    };
    let confirmed = join_all(signed_in.iter().map(|tokens| api.call(bare(tokens)))).await;
    assert!(confirmed.iter().all(Result::is_ok), "{confirmed:?}");
    let list = AdminListDevicesRequest { user_pool_id, username, ..Default::default() };
    let kept: Vec<_> = api.call(list).await.unwrap().devices.into_iter().filter_map(|it| it.device_key).collect();
    assert_eq!(kept.len(), 2);
    // Sessions of the devices that gave way are over, and those of the others go on.
    for tokens in &signed_in {
        let key = bare(tokens).device_key.unwrap();
        let user = api.call(GetUserRequest { access_token: tokens.access_token.clone() }).await;
        assert_eq!(user.is_ok(), kept.contains(&key), "{user:?}");
    }
    let mut database = PgConnection::connect(&servers.installation.database_url).await.unwrap();
    let ended: i64 = sqlx::query_scalar(
        "select count(distinct payload->>'session_id') from activity where type = 'user.tokens_revoked'
         and payload->>'reason' = 'TOKEN_REVOCATION_DEVICE_FORGOTTEN' and payload->>'client_id' = $1",
    )
    .bind(client_id)
    .fetch_one(&mut database)
    .await
    .unwrap();
    assert_eq!(ended, 6, "one for each device that gave way");
    servers.verify().await;
}

impl Servers {
    /// Asserts that the log and the read models agree.
    async fn verify(self) {
        let verified = tokio::task::spawn_blocking(move || self.installation.run(&["log", "verify"])).await;
        verified.expect("it agrees");
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "nobody drops it while it begins")]
async fn a_caller_who_waits_for_a_limit_holds_up_no_user() {
    let pool = Pool::create().await;
    let mut other = PgConnection::connect(&pool.api.environment().database_url()).await.unwrap();
    let mut held = other.begin().await.unwrap();
    let hold = sqlx::query("select from pools where user_pool_id = $1 for update").bind(&pool.id);
    hold.execute(&mut *held).await.unwrap();
    // A caller who adds a group waits, but no longer than a statement waits for a lock.
    let unavailable = "The service is temporarily unavailable. Please try again.";
    assert_refused(pool.api.call(group_request(&pool.id, "late")).await, "ServiceUnavailableException", unavailable);
    let person = pool.person("undisturbed").await;
    pool.sign_in(&person.username, PASSWORD).await.unwrap();
    held.rollback().await.unwrap();
    pool.api.call(group_request(&pool.id, "late")).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn a_flood_of_refused_calls_leaves_a_few_facts_and_the_rest_in_a_metric() {
    let servers = servers("refused_calls").await;
    let process = servers.api.processes()[0].clone();
    let id = &process.account.access_key_id;
    let one = Api::of(std::slice::from_ref(&process));
    let forged = format!("Bearer {id}.{}", unique("wrong"));
    let calls =
        (0..200).map(|_| one.call_as(Some(&forged), ListUserPoolsRequest { max_results: Some(1), next_token: None }));
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap_err().exception, "UnrecognizedClientException");
    }
    let mut database = PgConnection::connect(&process.database_url).await.unwrap();
    let recorded: i64 =
        sqlx::query_scalar("select count(*) from activity where type = 'developer.call_refused' and owner = $1")
            .bind(id)
            .fetch_one(&mut database)
            .await
            .unwrap();
    // One more for every twelve seconds of the flood.
    let few = i64::from(RECORDED_A_MINUTE.get());
    assert!((few..4 * few).contains(&recorded), "{recorded} facts");
    let metrics = http::get(process.http, "/metrics").await.text();
    let counted = metrics.lines().find_map(|line| {
        line.strip_prefix(r#"userpool_unrecorded_refusals_total{exception="UnrecognizedClientException"} "#)
    });
    assert_eq!(counted.and_then(|count| count.parse::<i64>().ok()), Some(200 - recorded), "{metrics}");
    // The account itself is not blocked, and its own refusals are recorded.
    one.call(ListUserPoolsRequest { max_results: Some(1), next_token: None }).await.unwrap();
}
