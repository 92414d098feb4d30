//! The most statements that each call may send to the database, counted in a log of the process.

use std::collections::BTreeMap;
use std::fs;

use userpool::proto::v1::{
    AdminAddUserToGroupRequest, ConfirmSignUpRequest, CreateGroupRequest, CreateUserPoolClientRequest,
    InitiateAuthRequest,
};

use crate::support::choice::{begin_request, choosing_client};
use crate::support::client::Api;
use crate::support::environment::{Dev, DevOptions, environment, start_dev};
use crate::support::mfa::{all_factors, asked, give_code, prefer, set_up_app};
use crate::support::one_time_codes::{answer, by_email, with_codes};
use crate::support::passkeys::{
    Authenticator, ORIGIN, PARTY, begin, challenge_of, completion, pool_with_passkeys_by, signed, start, token_of,
};
use crate::support::pool::{PASSWORD, Person, Pool, email_pool, password_client, unique};
use crate::support::srp::Client;

/// How often each call is made.
const ROUNDS: usize = 5;

/// Kinds of statements, each with a text that identifies it.
const KNOWN: &[(&str, &str)] = &[
    ("read", "select p.version as pool_version"),
    ("sign-in", "insert into sessions"),
    ("refusal", "insert into sign_in_failures"),
    ("right password asserted", "select assert_version('attempts', $3"),
    ("rates", "select spend_rate"),
    ("rate looked up", "select arrival from rates"),
    ("rates asserted", "select assert_rate"),
    ("session looked up", "select from used_nonces"),
    ("version asserted", "select assert_version($1, $2"),
    ("failures forgotten", "with told as ("),
    ("password replaced", "with voided as ("),
    ("network", "insert into familiar_networks"),
    ("event", "insert into log"),
    ("users", "insert into users"),
    ("names", "insert into names"),
    ("user_search", "insert into user_search"),
    ("user_search left", "delete from user_search s"),
    ("keys", "insert into keys"),
    ("codes", "insert into codes"),
    ("code tried", "update codes set attempts"),
    ("outbox", "insert into outbox"),
    ("invitations dropped", "delete from outbox where user_pool_id = $1 and owner = any"),
    ("nonce", "insert into used_nonces"),
    ("passkey", "insert into passkey_uses"),
    ("activity", "insert into activity"),
    ("directory", "from client_directory"),
];

/// Statements of background workers, which run without calls and after commits. The end of a transaction may be one of
/// theirs; the one statement for the log shows that a commit is one transaction.
const BACKGROUND: &[&str] = &[
    "with due as (",
    "with taken as (delete",
    "insert into leases",
    "update leases",
    "from leases",
    "pg_notify",
    "checkpoints",
    "from log",
    "from activity",
    "from pg_stat_activity",
    "pg_has_role",
    "with recursive turns",
    "filter (where not dead) as waiting",
    "relay_parked",
    "\"COMMIT\"",
    "from purges",
    "delete from sessions where (user_pool_id, event_id) in",
    "delete from codes where (user_pool_id, sub, purpose) in",
    "delete from attempts where (user_pool_id, name_hash) in",
    "delete from sign_in_failures where (user_pool_id, sub, source) in",
    "delete from familiar_networks where (user_pool_id, sub, network) in",
    "delete from rates where (user_pool_id, kind, key) in",
    "delete from outbox where (user_pool_id, id) in",
    "delete from stored_answers where",
    "delete from used_nonces where (user_pool_id, nonce) in",
];

/// A process on a database of its own that logs every statement.
async fn counted_process() -> Dev {
    tokio::task::spawn_blocking(|| {
        let environment = environment();
        environment.postgres.create_database("budgets");
        start_dev(&DevOptions {
            name: "dev-budgets",
            database_url: &environment.postgres.url("budgets"),
            kafka_brokers: &environment.kafka.bootstrap,
            kafka_prefix: "budgets.",
            master_keys_file: &environment.master_keys_file,
            public_url: &environment.public_url,
            http_addr: "127.0.0.1:0",
            log_filter: "warn,sqlx=trace",
            arguments: &[],
        })
    })
    .await
    .expect("userpool dev starts")
}

/// Counts the statements of calls; panics at an unknown one.
struct Counter<'a> {
    process: &'a Dev,
    from: usize,
}

impl<'a> Counter<'a> {
    fn start(process: &'a Dev) -> Self {
        Self { process, from: fs::read(&process.log).expect("the process logs").len() }
    }

    /// The statements since the start, by kind. A statement is logged before its caller has the answer.
    fn statements(&self) -> BTreeMap<&'static str, usize> {
        let text = fs::read_to_string(&self.process.log).expect("the process logs");
        let mut counted = BTreeMap::new();
        for line in text[self.from..].lines().filter(|line| line.contains(" sqlx::query:")) {
            if let Some((kind, _)) = KNOWN.iter().find(|(_, text)| line.contains(text)) {
                *counted.entry(*kind).or_default() += 1;
            } else {
                let expected = BACKGROUND.iter().any(|text| line.contains(text));
                assert!(expected, "a statement that nobody expects: {line}");
            }
        }
        counted
    }
}

#[tokio::test]
async fn calls_send_no_more_statements_than_they_may() {
    let process = counted_process().await;
    let mut pool = Pool::create_by(Api::of(std::slice::from_ref(&process)), email_pool(), password_client()).await;
    let person = pool.person("budget").await;
    // Groups add no statement to a sign-in or a refresh.
    let (user_pool_id, group_name) = (Some(pool.id.clone()), Some("readers".to_owned()));
    let group = CreateGroupRequest { user_pool_id, group_name, ..Default::default() };
    pool.api.call(group.clone()).await.unwrap();
    let CreateGroupRequest { user_pool_id, group_name, .. } = group;
    let join = AdminAddUserToGroupRequest { user_pool_id, group_name, username: Some(person.username.clone()) };
    pool.api.call(join).await.unwrap();
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    let each = |kinds: &[&'static str]| kinds.iter().map(|kind| (*kind, ROUNDS)).collect::<BTreeMap<_, _>>();

    let counter = Counter::start(&process);
    for _ in 0..ROUNDS {
        pool.get_user(tokens.access_token()).await.unwrap();
    }
    assert_eq!(counter.statements(), each(&["read"]), "GetUser");

    let counter = Counter::start(&process);
    for _ in 0..ROUNDS {
        pool.refresh(tokens.refresh_token()).await.unwrap();
    }
    assert_eq!(counter.statements(), each(&["read"]), "refresh");

    let counter = Counter::start(&process);
    for _ in 0..ROUNDS {
        pool.sign_in(&person.username, PASSWORD).await.unwrap();
    }
    assert_eq!(counter.statements(), each(&["read", "sign-in"]), "sign-in by password");

    let counter = Counter::start(&process);
    pool.sign_in(&person.username, "Wrong-horse-7").await.unwrap_err();
    assert_eq!(counter.statements(), BTreeMap::from([("read", 1), ("refusal", 1)]), "a wrong password");

    // One read, and one transaction with a statement for each table.
    let sign_up = each(&[
        "read",
        "event",
        "users",
        "names",
        "user_search",
        "keys",
        "network",
        "codes",
        "rates",
        "outbox",
        "activity",
    ]);
    let counter = Counter::start(&process);
    for _ in 0..ROUNDS {
        let name = unique("budget");
        pool.sign_up(&name, &[("email", &format!("{name}@example.com"))]).await.unwrap();
    }
    assert_eq!(counter.statements(), sign_up, "sign-up");

    // Issuing a challenge writes nothing but asserts that the user is not locked. The outcome of its answer is one
    // transaction.
    let invited: Vec<_> = (0..ROUNDS).map(|_| unique("invited")).collect();
    for name in &invited {
        pool.create_user(name, &[], "Temporary-horse-7").await;
    }
    let counter = Counter::start(&process);
    let mut sessions = Vec::new();
    for name in &invited {
        sessions.push(pool.challenge(name, "Temporary-horse-7").await.session.unwrap());
    }
    assert_eq!(counter.statements(), each(&["read", "right password asserted"]), "a challenge");
    let counter = Counter::start(&process);
    for (name, session) in invited.iter().zip(&sessions) {
        pool.api.call(pool.new_password_request(session, name, PASSWORD)).await.unwrap();
    }
    // The change of status moves the user's row in searches, and drops an invitation that waits.
    let answer = each(&[
        "read",
        "event",
        "users",
        "user_search left",
        "user_search",
        "invitations dropped",
        "nonce",
        "sign-in",
        "failures forgotten",
        "password replaced",
        "network",
        "activity",
    ]);
    assert_eq!(counter.statements(), answer, "the answer to a challenge");
    by_srp(&process, &mut pool).await;
    by_confirmation(&process, &mut pool).await;
    second_factor(&process, &pool).await;
    one_time_code(&process, &pool.api).await;
    pool.verify().await;
    by_passkey(&process).await;
}

/// By SRP, a sign-in is one read, and then one read and one statement. Asking for a choice is one read.
async fn by_srp(process: &Dev, pool: &mut Pool) {
    let name = pool.person("srp").await.username;
    let flows = ["ALLOW_USER_SRP_AUTH", "ALLOW_USER_AUTH"].map(str::to_owned).to_vec();
    let client = CreateUserPoolClientRequest { explicit_auth_flows: flows, ..Default::default() };
    let client_id = pool.add_client(client).await.client_id.unwrap();
    let before = std::mem::replace(&mut pool.client_id, client_id);
    let client = Client::new();
    for is_first in [true, false] {
        let counter = Counter::start(process);
        let challenge = pool.begin_srp(&client, &name).await.unwrap();
        let directory = if is_first { &[("directory", 1)][..] } else { &[] };
        let asked = directory.iter().copied().chain([("read", 1)]).collect();
        assert_eq!(counter.statements(), asked, "USER_SRP_AUTH");
        let proof = pool.verifier_request(&client, &challenge, PASSWORD);
        let counter = Counter::start(process);
        pool.api.call(proof).await.unwrap();
        assert_eq!(counter.statements(), BTreeMap::from([("read", 1), ("sign-in", 1)]), "PASSWORD_VERIFIER");
    }
    let challenge = pool.begin_srp(&client, &name).await.unwrap();
    let wrong = pool.verifier_request(&client, &challenge, "Wrong-horse-7");
    let counter = Counter::start(process);
    pool.api.call(wrong).await.unwrap_err();
    assert_eq!(counter.statements(), BTreeMap::from([("read", 1), ("refusal", 1)]), "a wrong proof");
    let counter = Counter::start(process);
    pool.api.call(begin_request(pool, &name, &[])).await.unwrap();
    assert_eq!(counter.statements(), BTreeMap::from([("read", 1)]), "SELECT_CHALLENGE");
    pool.client_id = before;
}

/// A code in the place of a password costs what a code of a second factor costs, and no password.
async fn one_time_code(process: &Dev, api: &Api) {
    let pool = Pool::create_by(api.clone(), with_codes(), choosing_client("ENABLED")).await;
    let Person { username, email, .. } = pool.person("code").await;
    let counter = Counter::start(process);
    let challenge = by_email(&pool, &username).await.unwrap();
    let asked = [
        ("read", 1),
        ("rate looked up", 1),
        ("version asserted", 1),
        ("codes", 2),
        ("rates", 1),
        ("outbox", 1),
        ("activity", 1),
    ];
    assert_eq!(counter.statements(), BTreeMap::from(asked), "a code to sign in with");
    let code = pool.api.messages_for(&email, 2).await[0]["code"].as_str().unwrap().to_owned();
    let right = answer(&pool, &username, challenge.session(), ("EMAIL", &code));
    let counter = Counter::start(process);
    pool.api.call(right).await.unwrap();
    let right = [
        ("read", 1),
        ("session looked up", 1),
        ("version asserted", 3),
        ("nonce", 1),
        ("code tried", 1),
        ("right password asserted", 1),
        ("sign-in", 1),
        ("failures forgotten", 1),
        ("activity", 1),
    ];
    assert_eq!(counter.statements(), BTreeMap::from(right), "a right code to sign in with");
    pool.verify().await;
}

/// The session of a sign-up adds no statement to the confirmation, and a sign-in by it is one read and one statement.
async fn by_confirmation(process: &Dev, pool: &mut Pool) {
    let client =
        CreateUserPoolClientRequest { explicit_auth_flows: vec!["ALLOW_USER_AUTH".to_owned()], ..Default::default() };
    let client_id = pool.add_client(client).await.client_id.unwrap();
    let before = std::mem::replace(&mut pool.client_id, client_id);
    let mut confirmations = Vec::new();
    for with_session in [true, false] {
        let name = unique("session");
        let email = format!("{name}@example.com");
        let session = pool.sign_up(&name, &[("email", &email)]).await.unwrap().session;
        let code = pool.api.code_for(&email).await;
        let session = session.filter(|_| with_session);
        let request = ConfirmSignUpRequest { session, ..pool.confirm_request(&name, &code) };
        let counter = Counter::start(process);
        let session = pool.api.call(request).await.unwrap().session;
        confirmations.push(counter.statements());
        let request = InitiateAuthRequest { session, ..begin_request(pool, &name, &[]) };
        let counter = Counter::start(process);
        assert!(pool.api.call(request).await.unwrap().authentication_result.is_some());
        assert_eq!(counter.statements(), BTreeMap::from([("read", 1), ("sign-in", 1)]), "a sign-in by its session");
    }
    assert_eq!(confirmations[0], confirmations[1], "ConfirmSignUp with a session and without one");
    pool.client_id = before;
}

/// By a passkey, a sign-in is one read, and then one read and one transaction. The start of a registration writes nothing.
async fn by_passkey(process: &Dev) {
    let api = Api::of(std::slice::from_ref(process));
    let pool = pool_with_passkeys_by(api, "ENABLED").await;
    let name = pool.person("passkey").await.username;
    let token = token_of(&pool, &name).await;
    let authenticator = Authenticator::new();
    let counter = Counter::start(process);
    let options = start(&pool, &token).await.unwrap();
    assert_eq!(counter.statements(), BTreeMap::from([("read", 1)]), "StartWebAuthnRegistration");
    let made = authenticator.attestation(PARTY, ORIGIN, &challenge_of(&options));
    let counter = Counter::start(process);
    pool.api.call(completion(&token, &made)).await.unwrap();
    let registered = [("read", 1), ("session looked up", 1), ("event", 1), ("users", 1), ("names", 1), ("nonce", 1)];
    assert_eq!(counter.statements(), BTreeMap::from(registered), "CompleteWebAuthnRegistration");
    begin(&pool, &name).await.unwrap();
    let counter = Counter::start(process);
    let right = signed(&pool, &name, &authenticator).await;
    assert_eq!(counter.statements(), BTreeMap::from([("read", 1)]), "WEB_AUTHN is asked for");
    let counter = Counter::start(process);
    pool.api.call(right).await.unwrap();
    let signed_in = [
        ("read", 1),
        ("session looked up", 1),
        ("version asserted", 3),
        ("nonce", 1),
        ("passkey", 1),
        ("right password asserted", 1),
        ("rates asserted", 1),
        ("sign-in", 1),
        ("failures forgotten", 1),
        ("activity", 1),
    ];
    assert_eq!(counter.statements(), BTreeMap::from(signed_in), "a passkey has signed");
    pool.verify().await;
}

/// A second factor adds one read and one statement, and a code that is sent one more read and a transaction.
async fn second_factor(process: &Dev, pool: &Pool) {
    pool.api.call(all_factors(pool, "OPTIONAL")).await.unwrap();
    let name = pool.person("factor").await.username;
    let token = pool.sign_in(&name, PASSWORD).await.unwrap().access_token.unwrap();
    let app = set_up_app(pool, &token).await;
    let counter = Counter::start(process);
    let session = asked(pool, &name, "SOFTWARE_TOKEN_MFA").await.session.unwrap();
    assert_eq!(counter.statements(), BTreeMap::from([("read", 1), ("right password asserted", 1)]), "a second factor");
    let challenge = ("SOFTWARE_TOKEN_MFA", session.as_str());
    let counter = Counter::start(process);
    give_code(pool, &name, challenge, &app.wrong()).await.unwrap_err();
    let wrong =
        [("read", 1), ("session looked up", 1), ("version asserted", 1), ("rates", 1), ("refusal", 1), ("activity", 1)];
    assert_eq!(counter.statements(), BTreeMap::from(wrong), "a wrong code");
    let counter = Counter::start(process);
    give_code(pool, &name, challenge, &app.code(1)).await.unwrap();
    let right = [("read", 1), ("sign-in", 1)];
    assert_eq!(counter.statements(), BTreeMap::from(right), "a right code");
    prefer(pool, &token, &["EMAIL_OTP"], None).await.unwrap();
    let counter = Counter::start(process);
    asked(pool, &name, "EMAIL_OTP").await;
    let sent = [
        ("read", 2),
        ("version asserted", 3),
        ("right password asserted", 1),
        ("codes", 1),
        ("outbox", 1),
        ("activity", 1),
    ];
    assert_eq!(counter.statements(), BTreeMap::from(sent), "a code that is sent");
}
