//! Service accounts that call with a client certificate: which certificates count, for which calls, and until when.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};
use tonic::codegen::Service;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use userpool::api::grpc::BytesCodec;
use userpool::api::operation::Operation;
use userpool::proto::v1::DescribeUserPoolRequest;

use crate::support::dev::{Address, shared};
use crate::support::poll_until;
use crate::support::process::PATIENCE;
use crate::support::serve::{Installation, Serve, argument, https};
use crate::support::wire::{self, Refusal};

const UNKNOWN: &str = "UnrecognizedClientException: The security token included in the request is invalid.";
const MISSING: &str = "MissingAuthenticationTokenException: Missing Authentication Token";

/// An authority that issues certificates to callers.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }
}

/// The files of a caller's certificate and key.
#[derive(Clone)]
struct Own {
    certificate: PathBuf,
    key: PathBuf,
}

/// A service account, as the command line shows it.
struct Account {
    id: String,
    token: String,
}

/// A server that asks callers for certificates of an authority.
struct Scene {
    installation: Installation,
    server: Serve,
    authority: Authority,
}

impl Scene {
    fn start(name: &str) -> Self {
        let postgres = &shared().postgres;
        postgres.create_database(name);
        let installation = Installation::on(&postgres.url(name));
        let authority = Authority::new();
        let (certificate, key) = installation.write_certificate();
        let callers = installation.write("callers.crt", &authority.0.pem());
        let arguments = [
            ["--tls-certificate", argument(&certificate)],
            ["--tls-key", argument(&key)],
            ["--tls-client-ca", argument(&callers)],
        ];
        let server = installation.spawn(arguments.as_flattened(), |command| {
            command.env("RUST_LOG", "info,sqlx=trace").env("NO_COLOR", "1");
        });
        Self { installation, server: Serve::ready(server), authority }
    }

    /// The server's own certificate, which callers trust.
    fn server_certificate(&self) -> PathBuf {
        self.installation.directory.join("tls.crt")
    }

    /// Issues a certificate to a caller.
    fn issue(&self, name: &str) -> Own {
        self.issue_by(&self.authority, name, |_| {})
    }

    fn issue_by(&self, authority: &Authority, name: &str, adjust: impl FnOnce(&mut CertificateParams)) -> Own {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([format!("{name}.example")]).expect("parameters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        adjust(&mut params);
        let certificate = params.signed_by(&key, &authority.0).expect("a certificate");
        Own {
            certificate: self.installation.write(&format!("{name}.crt"), &certificate.pem()),
            key: self.installation.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }

    fn account(&self, role: &str, pools: &[&str]) -> Account {
        let pools = pools.iter().flat_map(|pool| ["--pool", pool]);
        let create = ["service-account", "create", "--name", role, "--role", role];
        let printed = self.installation.run(&create.into_iter().chain(pools).collect::<Vec<_>>());
        let value =
            |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).expect(name).trim().to_owned();
        Account { id: value("access key id"), token: value("bearer token") }
    }

    /// Runs `bind` or `unbind` for a service account and a certificate, and returns the output or the sentence of
    /// failure.
    fn certificate(&self, command: &str, account: &Account, own: &Own) -> Result<String, String> {
        let certificate = argument(&own.certificate);
        self.program(&["service-account", command, &account.id, "--certificate", certificate])
    }

    fn bind(&self, account: &Account, own: &Own) {
        self.certificate("bind", account, own).expect("it can be bound");
    }

    /// The fingerprint of the only certificate that is bound to an account.
    fn fingerprint(&self, account: &Account) -> String {
        let [fingerprint] = self.listed(account).try_into().expect("one certificate");
        fingerprint
    }

    /// The fingerprints that `service-account list` shows for an account.
    fn listed(&self, account: &Account) -> Vec<String> {
        let listed = self.installation.run(&["service-account", "list"]);
        let lines = listed.lines().skip_while(|line| !line.starts_with(&account.id)).skip(1);
        let certificates = lines.map_while(|line| line.trim_start().strip_prefix("certificate"));
        certificates.map(|fingerprint| fingerprint.trim().to_owned()).collect()
    }

    /// Runs the program and returns its output, or its sentence of failure.
    fn program(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.installation.output(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Calls an operation by the program, with a certificate and a token if given.
    fn call(&self, own: Option<&Own>, token: Option<&str>, name: &str, request: &Value) -> Result<Value, String> {
        let (grpc, request, ca) = (self.server.grpc.to_string(), request.to_string(), self.server_certificate());
        let mut arguments = vec!["call", name, &request, "--grpc-addr", &grpc, "--tls-ca", argument(&ca)];
        if let Some(Own { certificate, key }) = own {
            arguments.extend(["--tls-certificate", argument(certificate), "--tls-key", argument(key)]);
        }
        arguments.extend(token.into_iter().flat_map(|token| ["--token", token]));
        let answer = self.program(&arguments).map_err(|said| said.trim_start_matches("userpool: ").to_owned())?;
        Ok(serde_json::from_str(&answer).expect("it prints JSON"))
    }

    /// Calls with a certificate alone.
    fn by(&self, own: &Own, name: &str, request: &Value) -> Result<Value, String> {
        self.call(Some(own), None, name, request)
    }

    fn create_pool(&self, own: &Own) -> String {
        let created = self.by(own, "CreateUserPool", &json!({ "PoolName": "certificates" })).expect("it may");
        created["UserPool"]["Id"].as_str().expect("an id").to_owned()
    }

    /// A connection with this certificate, for several calls.
    async fn channel(&self, own: &Own) -> Channel {
        let read = |path: &PathBuf| fs::read(path).expect("it was written");
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&self.server_certificate())))
            .identity(Identity::from_pem(read(&own.certificate), read(&own.key)));
        let endpoint = Endpoint::from_shared(format!("https://{}", self.server.grpc)).expect("an address");
        endpoint.tls_config(tls).expect("certificates").connect().await.expect("the server listens")
    }

    /// Sends a request to the HTTP listener; `None` if the handshake fails.
    async fn https(&self, own: Option<&Own>, request: &str) -> Option<String> {
        let own = own.map(|own| (own.certificate.as_path(), own.key.as_path()));
        https(self.server.http, &self.server_certificate(), own, request).await
    }
}

fn of_pool(id: &str) -> Value {
    json!({ "UserPoolId": id })
}

#[track_caller]
fn assert_denied(answer: Result<Value, String>) {
    let said = answer.expect_err("the role does not cover it");
    assert!(said.starts_with("AccessDeniedException: "), "{said}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

#[test]
fn a_certificate_calls_as_the_account_that_it_is_bound_to_and_within_its_role() {
    let scene = Scene::start("certificates_roles");
    let (admin, reader) = (scene.account("admin", &[]), scene.account("read-only", &[]));
    let [by_admin, by_reader, by_named] = ["admin", "reader", "named"].map(|name| scene.issue(name));
    scene.bind(&admin, &by_admin);
    scene.bind(&reader, &by_reader);
    let (pool, other) = (scene.create_pool(&by_admin), scene.create_pool(&by_admin));
    let named = scene.account("pool-admin", &[&pool]);
    scene.bind(&named, &by_named);
    let client = |pool: &str| json!({ "UserPoolId": pool, "ClientName": "app" });
    let create = json!({ "PoolName": "denied" });

    scene.by(&by_reader, "DescribeUserPool", &of_pool(&other)).unwrap();
    assert_denied(scene.by(&by_reader, "CreateUserPoolClient", &client(&pool)));
    scene.by(&by_named, "CreateUserPoolClient", &client(&pool)).unwrap();
    assert_denied(scene.by(&by_named, "CreateUserPoolClient", &client(&other)));
    assert_denied(scene.by(&by_named, "CreateUserPool", &create));
    let seen = scene.by(&by_named, "ListUserPools", &json!({ "MaxResults": 10 })).unwrap();
    assert_eq!(seen["UserPools"].as_array().map(Vec::len), Some(1), "{seen}");

    // A call with both a certificate and a token counts as the token's account.
    let both = |own: &Own, token: &str| scene.call(Some(own), Some(token), "CreateUserPool", &create);
    both(&by_reader, &admin.token).unwrap();
    assert_denied(both(&by_admin, &reader.token));
    assert_eq!(both(&by_admin, "nothing").unwrap_err(), UNKNOWN);

    // Each recorded actor says which credential the call had.
    let actors = runtime().block_on(async {
        let database = sqlx::PgPool::connect(&scene.installation.database_url).await.expect("the database is there");
        let statement = "select (metadata->'actor')::text from log where type = 'app_client.created'
             union all select (metadata->'actor')::text from activity where type = 'developer.call_refused'
                 and metadata->>'operation' = 'CreateUserPoolClient' and payload->>'access_key_id' = $1";
        let rows = sqlx::query_scalar::<_, String>(statement).bind(&reader.id).fetch_all(&database).await;
        rows.expect("both tables").iter().map(|row| serde_json::from_str(row).expect("JSON")).collect::<Vec<Value>>()
    });
    let actor = |account: &Account| json!({ "kind": "service_account", "id": account.id, "credential_id": scene.fingerprint(account) });
    assert_eq!(actors, [actor(&named), actor(&reader)]);
}

#[test]
fn a_call_by_certificate_reads_its_account_once() {
    let scene = Scene::start("certificates_reads");
    let (admin, own) = (scene.account("admin", &[]), scene.issue("admin"));
    scene.bind(&admin, &own);
    let pool = scene.create_pool(&own);
    let from = scene.server.log().len();
    for _ in 0..3 {
        scene.by(&own, "DescribeUserPool", &of_pool(&pool)).unwrap();
    }
    let log = scene.server.log()[from..].to_owned();
    let statements = log.lines().filter(|line| line.contains(" sqlx::query:") && line.contains("service_account"));
    let (joined, others): (Vec<_>, Vec<_>) = statements.partition(|line| line.contains("service_account_certificates"));
    assert_eq!((joined.len(), others), (3, Vec::<&str>::new()));
}

#[test]
fn a_certificate_counts_only_if_it_verifies_and_is_bound() {
    let scene = Scene::start("certificates_refused");
    let (admin, own, stranger) = (scene.account("admin", &[]), scene.issue("admin"), scene.issue("stranger"));
    scene.bind(&admin, &own);
    let pool = scene.create_pool(&own);
    let client = json!({ "UserPoolId": pool, "ClientName": "app" });
    let client = scene.by(&own, "CreateUserPoolClient", &client).unwrap()["UserPoolClient"]["ClientId"].clone();
    let sign_up = |name: &str| json!({ "ClientId": client, "Username": name, "Password": "Correct-horse-1" });
    let describe = of_pool(&pool);

    assert_eq!(scene.by(&stranger, "DescribeUserPool", &describe).unwrap_err(), UNKNOWN);
    assert_eq!(scene.call(None, None, "DescribeUserPool", &describe).unwrap_err(), MISSING);
    scene.call(Some(&stranger), Some(&admin.token), "DescribeUserPool", &describe).unwrap();
    // A call to a public operation needs no certificate, and may have any valid one.
    scene.call(None, None, "SignUp", &sign_up("none")).unwrap();
    scene.by(&stranger, "SignUp", &sign_up("strange")).unwrap();
    scene.by(&own, "SignUp", &sign_up("bound")).unwrap();

    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let unverified = [
        ("forged", scene.issue_by(&Authority::new(), "forged", |_| {})),
        ("expired", scene.issue_by(&scene.authority, "expired", |params| params.not_after = year(2020))),
        ("early", scene.issue_by(&scene.authority, "early", |params| params.not_before = year(4000))),
        (
            "server",
            scene.issue_by(&scene.authority, "server", |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
    ];
    let ready = "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    let http = |own: Option<&Own>| runtime().block_on(scene.https(own, ready));
    for (name, unverified) in &unverified {
        scene.bind(&admin, unverified);
        for (operation, request) in [("DescribeUserPool", &describe), ("SignUp", &sign_up(name))] {
            let said = scene.by(unverified, operation, request).unwrap_err();
            assert!(!said.contains("Exception"), "{name} has a connection: {said}");
        }
        assert_eq!(http(Some(unverified)), None, "{name}");
    }
    for verified in [Some(&own), Some(&stranger), None] {
        assert!(http(verified).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    }
}

#[test]
fn at_the_aws_door_a_certificate_is_no_credential() {
    let scene = Scene::start("certificates_aws");
    let (admin, own) = (scene.account("admin", &[]), scene.issue("admin"));
    scene.bind(&admin, &own);
    let body = of_pool(&scene.create_pool(&own)).to_string();
    let post = |own: &Own, headers: &[(String, String)]| {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (host, length) = (scene.server.http, body.len());
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        runtime().block_on(scene.https(Some(own), &request)).expect("a connection")
    };
    let target = [("x-amz-target".to_owned(), wire::target("DescribeUserPool"))];
    let refused = post(&own, &target);
    assert!(
        refused.starts_with("HTTP/1.1 403") && refused.contains("MissingAuthenticationTokenException"),
        "{refused}"
    );
    let (access_key_id, secret_access_key) = admin.token.split_once('.').expect("both halves");
    let address = Address {
        grpc: scene.server.grpc,
        http: scene.server.http,
        access_key_id: access_key_id.to_owned(),
        secret_access_key: secret_access_key.to_owned(),
        token: admin.token.clone(),
        database_url: scene.installation.database_url.clone(),
    };
    let signed = wire::signed(&address, "DescribeUserPool", body.as_bytes());
    let answer = post(&scene.issue("stranger"), &signed);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Describes a pool over an open connection.
async fn describe(channel: &Channel, pool: &str) -> Result<(), String> {
    let request = DescribeUserPoolRequest { user_pool_id: Some(pool.to_owned()) };
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("the connection is there");
    let path = PathAndQuery::from_static(Operation::DescribeUserPool.info().path);
    let answer = client.unary(Request::new(request.encode_to_vec().into()), path, BytesCodec).await;
    answer.map(drop).map_err(|status| said(&status))
}

fn said(status: &Status) -> String {
    let refusal = Refusal::of_status(status);
    format!("{}: {}", refusal.exception, refusal.message)
}

#[test]
fn unbinding_and_revoking_are_felt_at_the_next_call_of_a_connection() {
    let scene = Scene::start("certificates_ended");
    let [first, second, third] = [0; 3].map(|_| scene.account("admin", &[]));
    let (own, next) = (scene.issue("first"), scene.issue("next"));
    scene.bind(&first, &own);
    let pool = scene.create_pool(&own);
    let runtime = runtime();
    let channel = runtime.block_on(scene.channel(&own));
    let again = || runtime.block_on(describe(&channel, &pool));
    again().unwrap();

    // A renewed certificate is bound beside the one that it replaces.
    scene.bind(&first, &next);
    assert_eq!(scene.listed(&first).len(), 2);
    scene.certificate("unbind", &first, &own).unwrap();
    assert_eq!(again().unwrap_err(), UNKNOWN);
    scene.by(&next, "DescribeUserPool", &of_pool(&pool)).unwrap();

    scene.bind(&second, &own);
    again().unwrap();
    scene.installation.run(&["service-account", "revoke", &second.id]);
    assert_eq!(again().unwrap_err(), UNKNOWN);
    assert_eq!(scene.listed(&second), Vec::<String>::new());
    // A certificate of a revoked account can be bound to another one.
    scene.bind(&third, &own);
    again().unwrap();

    // A server of the earlier release, which knows no certificates, revokes an account and leaves its certificates.
    runtime.block_on(async {
        let database = sqlx::PgPool::connect(&scene.installation.database_url).await.expect("the database is there");
        let statement = "update service_accounts set revoked_at = now() where access_key_id = $1";
        sqlx::query(statement).bind(&third.id).execute(&database).await.expect("the account is there");
    });
    assert_eq!(again().unwrap_err(), UNKNOWN);
    scene.certificate("unbind", &third, &own).unwrap();
    scene.bind(&first, &own);
    again().unwrap();
}

#[test]
fn authorities_are_read_again_when_they_change() {
    let scene = Scene::start("certificates_authorities");
    let (admin, own, next) = (scene.account("admin", &[]), scene.issue("admin"), Authority::new());
    let renewed = scene.issue_by(&next, "renewed", |_| {});
    scene.bind(&admin, &own);
    scene.bind(&admin, &renewed);
    let pool = of_pool(&scene.create_pool(&own));
    scene.by(&renewed, "DescribeUserPool", &pool).unwrap_err();

    let authorities = scene.installation.write("callers.crt", &next.0.pem());
    let file = fs::File::options().write(true).open(authorities).expect("it was written");
    let written = file.metadata().and_then(|metadata| metadata.modified()).expect("files have times");
    file.set_modified(written + Duration::from_secs(10)).expect("the file is ours");
    let counts = poll_until(PATIENCE, || scene.by(&renewed, "DescribeUserPool", &pool).is_ok());
    assert!(counts, "the new authority does not count:\n{}", scene.server.log());
    let said = scene.by(&own, "DescribeUserPool", &pool).unwrap_err();
    assert!(!said.contains("Exception"), "{said}");
}

#[test]
fn a_page_cannot_make_a_browser_call_by_the_certificate_of_its_user() {
    let scene = Scene::start("certificates_pages");
    let (admin, own) = (scene.account("admin", &[]), scene.issue("admin"));
    scene.bind(&admin, &own);
    let pool = scene.create_pool(&own);
    let message = DescribeUserPoolRequest { user_pool_id: Some(pool) }.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a small message").to_be_bytes();
    let body = [&[0][..], &length, &message].concat();
    let path = Operation::DescribeUserPool.info().path;
    let uri = format!("https://{}{path}", scene.server.grpc);
    // A browser sends the first three without a preflight. Before the last two it sends one, which is refused.
    for (content_type, expected) in [
        (None, Some(MISSING)),
        (Some("text/plain"), Some(MISSING)),
        (Some("application/x-www-form-urlencoded"), Some(MISSING)),
        (Some("application/grpc"), None),
        (Some("application/grpc-web+proto"), None),
    ] {
        let mut request = http::Request::post(&uri);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let request = request.body(tonic::body::Body::new(http_body_util::Full::from(body.clone())));
        let response = runtime().block_on(async {
            let mut channel = scene.channel(&own).await;
            std::future::poll_fn(|context| channel.poll_ready(context)).await.expect("the connection is there");
            channel.call(request.expect("a request")).await.expect("an answer")
        });
        let refused = Status::from_header_map(response.headers()).map(|status| said(&status));
        assert_eq!(refused.as_deref(), expected, "{content_type:?}");
    }

    let question = format!(
        "OPTIONS {path} HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: https://evil.example\r\nconnection: close\r\n\
         access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n"
    );
    let certificate = scene.server_certificate();
    let answer = runtime().block_on(https(scene.server.grpc, &certificate, None, &question)).expect("a connection");
    assert!(answer.contains("access-control-allow-origin: *"), "{answer}");
    assert!(!answer.contains("access-control-allow-credentials"), "{answer}");
}

#[test]
fn an_operator_binds_a_certificate_to_one_account_and_all_of_it_is_recorded() {
    let scene = Scene::start("certificates_bound");
    let (first, second) = (scene.account("admin", &[]), scene.account("read-only", &[]));
    let own = scene.issue("own");
    scene.bind(&first, &own);
    let fingerprint = scene.fingerprint(&first);
    assert_eq!(scene.listed(&second), Vec::<String>::new());
    for account in [&first, &second] {
        let said = scene.certificate("bind", account, &own).unwrap_err();
        assert_eq!(said, format!("userpool: the certificate {fingerprint} is bound to {} already", first.id));
    }
    let said = scene.certificate("unbind", &second, &own).unwrap_err();
    assert_eq!(said, format!("userpool: the certificate {fingerprint} is not bound to {}", second.id));

    // The certificate's file may be gone by then.
    let by_fingerprint = |command: &str, account: &Account, fingerprint: &str| {
        scene.program(&["service-account", command, &account.id, "--fingerprint", fingerprint])
    };
    by_fingerprint("unbind", &first, &fingerprint).unwrap();
    by_fingerprint("unbind", &first, &fingerprint).unwrap_err();
    by_fingerprint("bind", &second, &fingerprint.to_uppercase()).unwrap();
    assert_eq!(scene.fingerprint(&second), fingerprint);

    let said = by_fingerprint("bind", &first, "ba78").unwrap_err();
    assert!(said.contains("64 hexadecimal digits"), "{said}");
    let said = scene.program(&["service-account", "bind", &first.id]).unwrap_err();
    assert!(said.contains("--certificate <FILE>|--fingerprint <SHA-256>"), "{said}");
    let key = Own { certificate: own.key.clone(), ..own.clone() };
    let said = scene.certificate("bind", &first, &key).unwrap_err();
    assert!(said.contains("own.key holds no certificate that could be bound"), "{said}");
    let nobody = Account { id: "UP000000000000000000".to_owned(), token: String::new() };
    scene.installation.run(&["service-account", "revoke", &second.id]);
    for gone in [&nobody, &second] {
        let said = scene.certificate("bind", gone, &own).unwrap_err();
        assert_eq!(said, format!("userpool: there is no service account {} in use", gone.id));
    }

    let history = scene.installation.run(&["log", "tail", "--activity", "--full", "--pool=-"]);
    let facts = |account: &Account| {
        let about = history.lines().filter(|line| line.contains(&account.id));
        let facts = about.filter_map(|line| line.split("  ").nth(3).map(|kind| (kind.to_owned(), line.to_owned())));
        facts.collect::<Vec<_>>()
    };
    let kinds = |account| facts(account).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    let (bound, unbound) = ("service_account.certificate_bound", "service_account.certificate_unbound");
    assert_eq!(kinds(&first), ["service_account.created", bound, unbound], "{history}");
    assert_eq!(kinds(&second), ["service_account.created", bound, "service_account.revoked"], "{history}");
    for (kind, line) in facts(&first).iter().filter(|(kind, _)| [bound, unbound].contains(&kind.as_str())) {
        let command = if kind == bound { "bind" } else { "unbind" };
        assert!(line.ends_with(&format!("by operator through service-account {command}")), "{line}");
        assert!(line.contains(&fingerprint), "{line}");
    }
}
