//! Which callers may call what: service accounts over gRPC and with signatures.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use tonic::Code;
use userpool::environment::Clock;
use userpool::proto::v1::*;

use crate::support::client::{Api, Refusal, assert_refused};
use crate::support::environment::Account;
use crate::support::http::{self, Answer};
use crate::support::pool::{PASSWORD, Pool, unique};

const UNKNOWN: (&str, &str) = ("UnrecognizedClientException", "The security token included in the request is invalid.");
const MISSING: (&str, &str) = ("MissingAuthenticationTokenException", "Missing Authentication Token");

/// Runs the program and returns its output, or its sentence of failure.
async fn run(api: &Api, arguments: &[&str]) -> Result<String, String> {
    let output = api.environment().command().args(arguments).output().await.expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Creates a service account as an operator does.
async fn service_account(api: &Api, role: &str, pools: &[&str]) -> Account {
    let mut arguments = vec!["service-account", "create", "--name", "scenario", "--role", role];
    arguments.extend(pools.iter().flat_map(|pool| ["--pool", pool]));
    let output = run(api, &arguments).await.unwrap();
    let value = |name: &str| output.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let account = Account { access_key_id: value("access key id"), secret: value("secret access key") };
    assert_eq!(value("bearer token"), account.token());
    assert!(account.access_key_id.len() == 20 && account.secret.len() == 40);
    account
}

fn describe(pool: &Pool) -> DescribeUserPoolRequest {
    DescribeUserPoolRequest { user_pool_id: Some(pool.id.clone()) }
}

fn create() -> CreateUserPoolRequest {
    CreateUserPoolRequest { pool_name: Some("callers".into()), ..Default::default() }
}

fn add_client(pool: &Pool) -> CreateUserPoolClientRequest {
    CreateUserPoolClientRequest {
        user_pool_id: Some(pool.id.clone()),
        client_name: Some("app".into()),
        ..Default::default()
    }
}

fn bearer(account: &Account) -> Option<String> {
    Some(format!("Bearer {}", account.token()))
}

#[track_caller]
fn assert_denied<T: std::fmt::Debug>(answer: Result<T, Refusal>) {
    let refusal = answer.expect_err("the call is denied");
    assert_eq!((refusal.exception.as_str(), refusal.code), ("AccessDeniedException", Code::PermissionDenied));
}

#[tokio::test]
async fn a_developer_operation_needs_a_bearer_token_of_an_account() {
    let pool = Pool::create().await;
    let account = pool.api.account().clone();
    let (id, secret) = (account.access_key_id.clone(), account.secret.clone());
    for (header, expected) in [
        (None, MISSING),
        (Some("Basic dXNlcjpwYXNz".to_owned()), MISSING),
        (Some("Bearer".to_owned()), MISSING),
        (Some("Bearer nothing".to_owned()), UNKNOWN),
        (Some(format!("Bearer {id}")), UNKNOWN),
        (Some(format!("Bearer {id}.")), UNKNOWN),
        (Some(format!("Bearer {id}.{}", &secret[1..])), UNKNOWN),
        (Some(format!("Bearer {id}.{secret}x")), UNKNOWN),
        (Some(format!("Bearer {}.{secret}", id.to_lowercase())), UNKNOWN),
        (Some(format!("Bearer {}.{secret}", "A".repeat(20))), UNKNOWN),
    ] {
        let refusal = pool.api.call_as(header.as_deref(), describe(&pool)).await.unwrap_err();
        assert_eq!((refusal.pair(), refusal.code), (expected, Code::Unauthenticated));
    }
    let lower = format!("bearer {}", account.token());
    pool.api.call_as(Some(&lower), describe(&pool)).await.unwrap();
    pool.verify().await;
}

#[tokio::test]
async fn each_role_may_call_its_operations() {
    let (pool, other) = (Pool::create().await, Pool::create().await);
    let person = pool.person("roles").await;
    let get = AdminGetUserRequest { user_pool_id: Some(pool.id.clone()), username: Some(person.username) };

    let admin = bearer(&service_account(&pool.api, "admin", &[]).await);
    let admin = admin.as_deref();
    pool.api.call_as(admin, describe(&pool)).await.unwrap();
    pool.api.call_as(admin, add_client(&pool)).await.unwrap();
    pool.api.call_as(admin, create()).await.unwrap();

    let reader = bearer(&service_account(&pool.api, "read-only", &[]).await);
    let reader = reader.as_deref();
    pool.api.call_as(reader, describe(&pool)).await.unwrap();
    pool.api.call_as(reader, describe(&other)).await.unwrap();
    pool.api.call_as(reader, get.clone()).await.unwrap();
    assert_denied(pool.api.call_as(reader, add_client(&pool)).await);
    assert_denied(pool.api.call_as(reader, create()).await);

    let named = bearer(&service_account(&pool.api, "pool-admin", &[&pool.id]).await);
    let named = named.as_deref();
    pool.api.call_as(named, describe(&pool)).await.unwrap();
    pool.api.call_as(named, get).await.unwrap();
    pool.api.call_as(named, add_client(&pool)).await.unwrap();
    assert_denied(pool.api.call_as(named, describe(&other)).await);
    assert_denied(pool.api.call_as(named, add_client(&other)).await);
    assert_denied(pool.api.call_as(named, create()).await);
    // A caller without the right to a pool does not learn whether the pool exists.
    let unknown = DescribeUserPoolRequest { user_pool_id: Some("us-east-1_000000000".into()) };
    assert_denied(pool.api.call_as(named, unknown).await);
    // A request without its pool breaks the constraint before the account's pools are compared.
    let nameless = pool.api.call_as(named, DescribeUserPoolRequest::default()).await.unwrap_err();
    assert_eq!(nameless.exception, "InvalidParameterException");
    other.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn a_role_is_the_same_at_the_aws_door() {
    let (pool, other) = (Pool::create().await, Pool::create().await);
    let reader = service_account(&pool.api, "read-only", &[]).await;
    let named = service_account(&pool.api, "pool-admin", &[&pool.id]).await;
    let aws = |account: &Account| pool.api.aws_as(account, "us-east-1");
    let add = |account: &Account, pool: &Pool| {
        aws(account).create_user_pool_client().user_pool_id(&pool.id).client_name("app")
    };
    aws(&reader).describe_user_pool().user_pool_id(&other.id).send().await.unwrap();
    aws(&named).describe_user_pool().user_pool_id(&pool.id).send().await.unwrap();
    add(&named, &pool).send().await.unwrap();
    for denied in [add(&reader, &pool), add(&named, &other)] {
        let refused = denied.send().await.unwrap_err();
        assert_eq!(refused.raw_response().map(|response| response.status().as_u16()), Some(403));
        assert_eq!(refused.into_service_error().meta().code(), Some("AccessDeniedException"));
    }
    let refused = aws(&named).create_user_pool().pool_name("denied").send().await.unwrap_err();
    assert_eq!(refused.into_service_error().meta().code(), Some("AccessDeniedException"));
    other.verify().await;
    pool.verify().await;
}

#[tokio::test]
async fn a_revoked_account_is_of_no_use_at_once() {
    let pool = Pool::create().await;
    let account = service_account(&pool.api, "admin", &[]).await;
    let header = bearer(&account);
    for _ in 0..2 {
        pool.api.call_as(header.as_deref(), describe(&pool)).await.unwrap();
    }
    let listed = run(&pool.api, &["service-account", "list"]).await.unwrap();
    let line = |listed: &str| listed.lines().find(|line| line.starts_with(&account.access_key_id)).unwrap().to_owned();
    assert!(line(&listed).contains("in use") && !listed.contains(&account.secret));
    run(&pool.api, &["service-account", "revoke", &account.access_key_id]).await.unwrap();
    for _ in 0..2 {
        assert_refused(pool.api.call_as(header.as_deref(), describe(&pool)).await, UNKNOWN.0, UNKNOWN.1);
    }
    let target = "DescribeUserPool";
    let body = format!(r#"{{"UserPoolId":"{}"}}"#, pool.id);
    assert_http(&post(&Signing::by(&account), target, &body).await, UNKNOWN.0, UNKNOWN.1);
    assert!(line(&run(&pool.api, &["service-account", "list"]).await.unwrap()).contains("revoked"));
    let again = run(&pool.api, &["service-account", "revoke", &account.access_key_id]).await.unwrap_err();
    assert!(again.contains("there is no service account"), "{again}");
    pool.verify().await;
}

#[tokio::test]
async fn an_operator_gives_a_role_its_pools() {
    let api = Api::connect().await;
    let create = ["service-account", "create", "--name", "wrong", "--role"];
    let with = |more: &[&'static str]| create.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    for wrong in [with(&["pool-admin"]), with(&["admin", "--pool", "us-east-1_000000000"]), with(&["owner"])] {
        run(&api, &wrong).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_refusal_is_recorded_under_the_refused_account() {
    let pool = Pool::create().await;
    let reader = service_account(&pool.api, "read-only", &[]).await;
    assert_denied(pool.api.call_as(bearer(&reader).as_deref(), add_client(&pool)).await);
    let stolen = Account { secret: "x".repeat(40), ..reader.clone() };
    let body = format!(r#"{{"UserPoolId":"{}"}}"#, pool.id);
    assert_eq!(post(&Signing::by(&stolen), "DescribeUserPool", &body).await.exception().0, "InvalidSignatureException");
    let history = run(&pool.api, &["log", "tail", "--activity", "--pool=-"]).await.unwrap();
    let about =
        |what: &str| history.lines().filter(|line| line.contains(&reader.access_key_id) && line.contains(what)).count();
    assert_eq!(about("AccessDeniedException"), 1);
    assert_eq!(about("InvalidSignatureException"), 1);
    pool.verify().await;
}

/// The inputs of a signature.
struct Signing {
    account: Account,
    service: &'static str,
    at: SystemTime,
}

impl Signing {
    fn by(account: &Account) -> Self {
        Self { account: account.clone(), service: "cognito-idp", at: now() }
    }

    /// The headers of a request, as an SDK makes them.
    fn headers(&self, host: &str, target: &str, body: &str) -> Vec<(String, String)> {
        let target = format!("AWSCognitoIdentityProviderService.{target}");
        let plain = [("host", host), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let Account { access_key_id, secret } = &self.account;
        let identity = Credentials::new(access_key_id, secret, None, None, "scenario").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(self.service)
            .time(self.at)
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let uri = format!("http://{host}/");
        let request = SignableRequest::new("POST", &uri, plain.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let (instructions, _) = sign(request.unwrap(), &parameters.into()).unwrap().into_parts();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        plain.into_iter().map(owned).chain(instructions.headers().map(owned)).collect()
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(Clock.now().0.unsigned_abs())
}

async fn send(headers: &[(String, String)], body: &str) -> Answer {
    // The connection goes to the host that was signed.
    let host = headers.iter().find(|(name, _)| name == "host").unwrap().1.parse().unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::send(host, "POST", "/", &headers, body.as_bytes()).await
}

fn host(api: &Api) -> String {
    let environment = api.environment();
    environment.processes[environment.next()].http.to_string()
}

async fn post(signing: &Signing, target: &str, body: &str) -> Answer {
    let api = Api::connect().await;
    send(&signing.headers(&host(&api), target, body), body).await
}

#[track_caller]
fn assert_http(answer: &Answer, exception: &str, message: &str) {
    let found = answer.exception();
    assert_eq!((found.0.as_str(), found.1.as_str()), (exception, message));
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_signature_covers_headers_body_time_and_service() {
    let pool = Pool::create().await;
    let account = pool.api.account().clone();
    let body = format!(r#"{{"UserPoolId":"{}"}}"#, pool.id);
    let host = host(&pool.api);
    let good = Signing::by(&account);
    let answer = post(&good, "DescribeUserPool", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(answer.json()["UserPool"]["Id"], pool.id.as_str());
    assert!(answer.headers.contains_key("x-amzn-requestid"));

    let mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                    Access Key and signing method. Consult the service documentation for details.";
    let headers = good.headers(&host, "DescribeUserPool", &body);
    let changed_body = send(&headers, &body.replace("UserPoolId", "UserPoolID")).await;
    assert_http(&changed_body, "InvalidSignatureException", mismatch);
    let changed = |name: &str, value: &str| {
        let mut headers = headers.clone();
        headers.iter_mut().find(|(known, _)| known == name).unwrap().1 = value.to_owned();
        headers
    };
    let target = changed("x-amz-target", "AWSCognitoIdentityProviderService.CreateUserPool");
    assert_http(&send(&target, &body).await, "InvalidSignatureException", mismatch);
    let kind = changed("content-type", "application/json");
    assert_http(&send(&kind, &body).await, "InvalidSignatureException", mismatch);

    let wrong = Signing { account: Account { secret: "x".repeat(40), ..account.clone() }, ..Signing::by(&account) };
    assert_http(&post(&wrong, "DescribeUserPool", &body).await, "InvalidSignatureException", mismatch);
    let nobody = Account { access_key_id: "A".repeat(20), ..account.clone() };
    assert_http(&post(&Signing::by(&nobody), "DescribeUserPool", &body).await, UNKNOWN.0, UNKNOWN.1);

    let minutes = |count: u64| Duration::from_secs(60 * count);
    let old = Signing { at: now() - minutes(16), ..Signing::by(&account) };
    let message = "Signature expired: it is more than 15 minutes old.";
    assert_http(&post(&old, "DescribeUserPool", &body).await, "InvalidSignatureException", message);
    let early = Signing { at: now() + minutes(16), ..Signing::by(&account) };
    let message = "Signature not yet current: it is more than 15 minutes in the future.";
    assert_http(&post(&early, "DescribeUserPool", &body).await, "InvalidSignatureException", message);
    for at in [now() - minutes(13), now() + minutes(13)] {
        assert_eq!(post(&Signing { at, ..Signing::by(&account) }, "DescribeUserPool", &body).await.status, 200);
    }
    let service = Signing { service: "s3", ..Signing::by(&account) };
    let message = "Credential should be scoped to correct service: 'cognito-idp'.";
    assert_http(&post(&service, "DescribeUserPool", &body).await, "InvalidSignatureException", message);

    let without = |name: &str| headers.iter().filter(|(known, _)| known != name).cloned().collect::<Vec<_>>();
    assert_http(&send(&without("authorization"), &body).await, MISSING.0, MISSING.1);
    assert_eq!(send(&without("x-amz-date"), &body).await.exception().0, "IncompleteSignatureException");
    for authorization in [
        format!("Bearer {}", account.token()),
        "AWS4-HMAC-SHA256".to_owned(),
        "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0".to_owned(),
        format!("AWS4-HMAC-SHA256 Credential={}/x", account.access_key_id),
    ] {
        let answer = send(&changed("authorization", &authorization), &body).await;
        assert_eq!(
            (answer.exception().0.as_str(), answer.status),
            ("IncompleteSignatureException", 403),
            "{authorization}"
        );
    }
    // An unsigned header can't carry the target or the time.
    let authorization = &headers.iter().find(|(name, _)| name == "authorization").unwrap().1;
    for name in ["host;", "x-amz-date;", ";x-amz-target"] {
        let less = authorization.replace(name, "");
        assert_ne!(&less, authorization, "{name}");
        assert_eq!(send(&changed("authorization", &less), &body).await.exception().0, "InvalidSignatureException");
    }
    pool.verify().await;
}

#[tokio::test]
async fn public_operations_ignore_a_credential() {
    let pool = Pool::create().await;
    let person = pool.person("public").await;
    for header in [None, Some("Bearer nonsense"), Some("Basic dXNlcjpwYXNz")] {
        let request = pool.sign_in_request(&person.username, PASSWORD);
        let tokens = pool.api.call_patiently(header, request).await.unwrap();
        let access_token = tokens.authentication_result.unwrap().access_token;
        pool.api.call_as(header, GetUserRequest { access_token }).await.unwrap();
    }
    let body = serde_json::json!({
        "ClientId": pool.client_id,
        "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": { "USERNAME": person.username, "PASSWORD": "Wrong-horse-7" },
    });
    let target = ("x-amz-target", "AWSCognitoIdentityProviderService.InitiateAuth");
    let environment = pool.api.environment();
    let address = environment.processes[environment.next()].http;
    let headers = [target, ("authorization", "AWS4-HMAC-SHA256 Credential=nonsense")];
    let answer = http::send(address, "POST", "/", &headers, body.to_string().as_bytes()).await;
    assert_eq!(answer.exception().0, "NotAuthorizedException");
    assert_eq!(answer.status, 400);
    pool.verify().await;
}

#[tokio::test]
async fn an_operator_calls_and_reads_the_history() {
    let pool = Pool::create().await;
    let person = pool.person("history").await;
    let environment = pool.api.environment();
    let mut call = environment.command();
    let json = format!(r#"{{"UserPoolId":"{}","Username":"{}"}}"#, pool.id, person.username);
    call.args(["call", "AdminGetUser", &json])
        .env("USERPOOL_GRPC_ADDR", environment.processes[environment.next()].grpc.to_string())
        .env("USERPOOL_TOKEN", pool.api.account().token());
    let output = call.output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["Username"], &answer["UserStatus"]), (&person.username.as_str().into(), &"CONFIRMED".into()));
    let output = call.env("USERPOOL_TOKEN", "nonsense").output().await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("UnrecognizedClientException"));

    let history = run(&pool.api, &["log", "tail", "--activity", "--pool", &pool.id]).await.unwrap();
    let kinds = [
        "user_pool.created",
        "user_pool.signing_key_added",
        "app_client.created",
        "user.signed_up",
        "user.confirmed",
        "user.code_sent",
    ];
    for kind in kinds {
        assert!(history.lines().any(|line| line.contains(kind)), "{kind} is missing in\n{history}");
    }
    for personal in [&person.email, &person.username, &unique("other")] {
        assert!(!history.contains(personal.as_str()));
    }
    pool.verify().await;
}
