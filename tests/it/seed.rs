//! `userpool dev --seed`: everything that a file names exists when the server is ready, is made once, and changes with
//! the file.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::dev_command::{Variables, call, run, sentence_of, text};
use crate::support::dev::{Dev, data_directory, shared};
use crate::support::environment::write_master_keys;

const POOL: &str = "us-east-1_Example01";
const CLIENT: &str = "1example23456789abcdefghij";
const SUB: &str = "5f2b0c1e-8f57-4f0e-9a59-0d8a4a1f6b11";
const SEED: &str = r#"UserPools:
- Id: us-east-1_Example01
  PoolName: people
  AutoVerifiedAttributes: [email]
  AliasAttributes: [email, preferred_username]
  Schema:
  - {Name: tier, AttributeDataType: String, Mutable: false}
  UserPoolClients:
  - ClientId: 1example23456789abcdefghij
    ClientName: web
    ExplicitAuthFlows: [ALLOW_USER_PASSWORD_AUTH]
    WriteAttributes: []
  - ClientId: 2example23456789abcdefghij
    ClientName: api
    ClientSecret: 1secret23456789abcdefghijklmnopqrstuvwxyz1234567890
  Groups:
  - GroupName: readers
  Users:
  - Username: ann
    Password: Correct-horse-1
    UserAttributes:
    - {Name: sub, Value: 5f2b0c1e-8f57-4f0e-9a59-0d8a4a1f6b11}
    - {Name: email, Value: ann@example.com}
    - {Name: email_verified, Value: "true"}
    - {Name: "custom:tier", Value: gold}
    Groups: [readers]
  - Username: bob
    Password: Correct-horse-2
    Permanent: false
"#;

/// A directory and a database for the servers of a test.
struct House {
    database: String,
    directory: PathBuf,
    master_keys: PathBuf,
}

impl House {
    fn new(name: &str) -> Self {
        let postgres = &shared().postgres;
        postgres.create_database(name);
        let directory = data_directory(name);
        let master_keys = write_master_keys(&directory);
        Self { database: postgres.url(name), directory, master_keys }
    }

    fn seed(&self, text: &str) -> PathBuf {
        let file = self.directory.join("seed.yaml");
        fs::write(&file, text).expect("the directory is ours");
        file
    }

    /// Starts a server with a seed.
    fn spawn(&self, data: &str, seed: &Path) -> Dev {
        self.spawn_with(data, seed, "warn")
    }

    fn spawn_with(&self, data: &str, seed: &Path, log: &str) -> Dev {
        Dev::spawn(&self.directory.join(data), |command| {
            command.arg("--seed").arg(seed).env("RUST_LOG", log);
            command.env("USERPOOL_DATABASE_URL", &self.database);
            command.env("USERPOOL_MASTER_KEYS_FILE", &self.master_keys);
        })
    }

    /// A server that is ready and logs everything.
    fn start(&self, data: &str, seed: &str) -> Dev {
        let file = self.seed(seed);
        let mut dev = self.spawn_with(data, &file, "trace");
        assert!(dev.is_ready(), "it is not ready; it says:\n{}\n{}", dev.output(), dev.log());
        dev
    }

    /// The output for a seed that can't be applied.
    fn refused(&self, seed: &str) -> String {
        let file = self.seed(seed);
        let sentence = sentence_of(self.spawn("refused", &file));
        let place = format!("{}:", file.display());
        sentence.strip_prefix(&place).unwrap_or_else(|| panic!("not of this file: {sentence}")).to_owned()
    }
}

/// The types of all events, in order.
fn events(variables: &Variables) -> Vec<String> {
    let tail = run(&["log", "tail"], variables);
    assert!(tail.status.success(), "{}", text(&tail.stderr));
    let told = text(&tail.stdout);
    assert!(!told.contains("Correct-horse") && !told.contains("1secret"), "{told}");
    told.lines().filter_map(|line| line.split("  ").nth(3).map(str::to_owned)).collect()
}

fn assert_verified(variables: &Variables) {
    let verify = run(&["log", "verify"], variables);
    assert!(verify.status.success(), "{}{}", text(&verify.stdout), text(&verify.stderr));
}

fn sign_in(username: &str, password: &str, variables: &Variables) -> Value {
    let request = json!({
        "ClientId": CLIENT, "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": { "USERNAME": username, "PASSWORD": password },
    });
    call("InitiateAuth", &request, variables)
}

fn user(username: &str, variables: &Variables) -> Value {
    call("AdminGetUser", &json!({ "UserPoolId": POOL, "Username": username }), variables)
}

fn attribute<'a>(user: &'a Value, name: &str) -> &'a str {
    let attributes = user["UserAttributes"].as_array().expect("a list");
    let found = attributes.iter().find(|attribute| attribute["Name"] == name);
    found.and_then(|attribute| attribute["Value"].as_str()).unwrap_or_default()
}

/// A seed with one part replaced.
fn with(seed: &str, old: &str, new: &str) -> String {
    assert_eq!(seed.matches(old).count(), 1, "{old}");
    seed.replace(old, new)
}

#[test]
fn everything_in_a_seed_exists_when_the_server_is_ready_and_is_made_once() {
    let house = House::new("seed_once");
    let mut dev = house.start("data", SEED);
    let variables = dev.variables();
    assert_seeded(&variables);
    let made = events(&variables);
    let expected = [
        "user_pool.created",
        "user_pool.signing_key_added",
        "user_pool.signing_key_added",
        "app_client.created",
        "app_client.created",
        "group.created",
    ];
    assert_eq!(made[..6], expected);
    let of_users = |kind: &str| made[6..].iter().filter(|event| event.as_str() == kind).count();
    assert_eq!((made.len(), of_users("user.created_by_administrator")), (6 + 4, 2));
    assert_eq!((of_users("user.password_changed"), of_users("user.group_joined")), (1, 1));
    assert!(dev.end(Signal::SIGTERM).success(), "{}", dev.log());
    let log = dev.log();
    assert!(log.contains("all that the seed names is there") && log.contains("TRACE"), "{log}");
    for secret in ["Correct-horse", "1secret23456789"] {
        assert!(!log.contains(secret), "a secret is logged");
    }

    // Again, by the same server and by one with another account.
    for data in ["data", "other"] {
        let mut dev = house.start(data, SEED);
        assert_eq!(events(&dev.variables()), made, "a second start appends nothing");
        assert_seeded(&dev.variables());
        assert!(dev.end(Signal::SIGTERM).success(), "{}", dev.log());
    }
    assert_verified(&variables);
}

fn assert_seeded(variables: &Variables) {
    let ann = user("ann", variables);
    assert_eq!((&ann["UserStatus"], attribute(&ann, "sub")), (&json!("CONFIRMED"), SUB));
    assert_eq!((attribute(&ann, "email_verified"), attribute(&ann, "custom:tier")), ("true", "gold"));
    assert!(
        sign_in("ann@example.com", "Correct-horse-1", variables)["AuthenticationResult"]["AccessToken"].is_string()
    );
    assert_eq!(sign_in("bob", "Correct-horse-2", variables)["ChallengeName"], "NEW_PASSWORD_REQUIRED");
    let request = json!({ "UserPoolId": POOL, "Username": "ann" });
    let groups = call("AdminListGroupsForUser", &request, variables);
    assert_eq!(groups["Groups"][0]["GroupName"], "readers");
    let request = json!({ "UserPoolId": POOL, "ClientId": "2example23456789abcdefghij" });
    let api = call("DescribeUserPoolClient", &request, variables)["UserPoolClient"].clone();
    assert_eq!(api["ClientSecret"], "1secret23456789abcdefghijklmnopqrstuvwxyz1234567890");
    let pool = call("DescribeUserPool", &json!({ "UserPoolId": POOL }), variables)["UserPool"].clone();
    assert_eq!(pool["Arn"], format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{POOL}"));
}

#[test]
fn a_changed_seed_changes_what_differs_and_takes_nothing_away() {
    let house = House::new("seed_changed");
    let mut dev = house.start("data", SEED);
    let before = events(&dev.variables());
    assert!(dev.end(Signal::SIGTERM).success(), "{}", dev.log());

    // The file no longer names Bob, nor the client with a secret.
    let (changed, _) = SEED.split_once("  - Username: bob").expect("he is the last");
    let (start, rest) = changed.split_once("  - ClientId: 2example").expect("there is a second client");
    let (_, end) = rest.split_once("  Groups:\n").expect("groups follow");
    let changed = format!("{start}  Groups:\n{end}");
    let changed = with(&changed, "PoolName: people", "PoolName: persons");
    let changed = with(&changed, "Mutable: false}", "Mutable: false}\n  - {Name: shoe, AttributeDataType: Number}");
    let changed = with(&changed, "ClientName: web", "ClientName: site");
    let changed =
        with(&changed, "GroupName: readers", "GroupName: readers\n    Description: may read\n  - GroupName: writers");
    let changed = with(&changed, "Groups: [readers]", "Groups: [readers, writers]");
    let changed = with(&changed, "Correct-horse-1", "Correct-horse-3");
    let changed = with(&changed, "- {Name: email_verified", "- {Name: name, Value: Ann}\n    - {Name: email_verified");
    let mut dev = house.start("data", &changed);
    let variables = dev.variables();
    let after = events(&variables);
    let expected = [
        "user_pool.settings_changed",
        "user_pool.custom_attributes_added",
        "app_client.settings_changed",
        "group.settings_changed",
        "group.created",
        "user.password_changed",
        "user.attributes_set",
        "user.group_joined",
    ];
    assert_eq!(after[..before.len()], before);
    assert_eq!(after[before.len()..], expected);
    assert!(sign_in("ann", "Correct-horse-3", &variables)["AuthenticationResult"].is_object());
    assert_eq!(attribute(&user("ann", &variables), "name"), "Ann");
    assert_eq!(user("bob", &variables)["UserStatus"], "FORCE_CHANGE_PASSWORD");
    let clients = call("ListUserPoolClients", &json!({ "UserPoolId": POOL, "MaxResults": 10 }), &variables);
    assert_eq!(clients["UserPoolClients"].as_array().map(Vec::len), Some(2));
    assert!(dev.end(Signal::SIGTERM).success(), "{}", dev.log());
    let dev = house.start("data", &changed);
    assert_eq!(events(&dev.variables()), after);
    assert_verified(&variables);
}

#[test]
fn an_impossible_change_is_told_with_its_position() {
    let house = House::new("seed_fixed");
    let dev = house.start("data", SEED);
    let variables = dev.variables();
    let before = events(&variables);
    for (old, new, expected) in [
        (
            "AliasAttributes: [email, preferred_username]",
            "AliasAttributes: [email]",
            "2:3: UserPools[0]: AliasAttributes of a pool that is there can't be changed.",
        ),
        (
            "Mutable: false",
            "Mutable: true",
            "2:3: UserPools[0]: Schema: the attribute custom:tier of a pool that is there can't be changed.",
        ),
        (
            "1secret",
            "2secret",
            "13:5: UserPools[0].UserPoolClients[1]: ClientSecret and GenerateSecret of a client that is there can't be changed.",
        ),
        (
            "5f2b0c1e",
            "6f2b0c1e",
            "19:5: UserPools[0].Users[0]: The user is there with the sub 5f2b0c1e-8f57-4f0e-9a59-0d8a4a1f6b11, which can't be changed.",
        ),
        ("Value: gold", "Value: silver", "19:5: UserPools[0].Users[0]: user.custom:tier: Attribute cannot be updated."),
    ] {
        let told = house.refused(&with(SEED, old, new));
        assert!(told.starts_with(expected.trim_end_matches('.')), "{new}: {told}");
    }
    let elsewhere = SEED.replace("us-east-1_Example01", "us-east-1_Example02").replace(SUB, &SUB.replace('5', "6"));
    let expected = "9:5: UserPools[0].UserPoolClients[0]: The id of the client is, or was, another one's: ids are never used again, give another.";
    assert_eq!(house.refused(&elsewhere), expected);
    let bob = format!(
        "{SEED}    UserAttributes: [{{Name: email, Value: ann@example.com}}, {{Name: email_verified, Value: \"true\"}}]\n"
    );
    let taken = house.refused(&bob);
    assert!(taken.starts_with("27:5: UserPools[0].Users[1]: An account with the email already exists."), "{taken}");

    let attributes = json!([{ "Name": "preferred_username", "Value": "carl" }]);
    let request = json!({ "UserPoolId": POOL, "Username": "ann", "UserAttributes": attributes });
    call("AdminUpdateUserAttributes", &request, &variables);
    let alias_of_ann = house.refused(&with(SEED, "Username: bob", "Username: carl"));
    assert_eq!(alias_of_ann, "27:5: UserPools[0].Users[1]: User account already exists");

    call("AdminDeleteUser", &json!({ "UserPoolId": POOL, "Username": "ann" }), &variables);
    let expected = "19:5: UserPools[0].Users[0]: The sub of the user is, or was, another one's: ids are never used again, give another.";
    assert_eq!(house.refused(SEED), expected);
    call("DeleteUserPool", &json!({ "UserPoolId": POOL }), &variables);
    let expected =
        "2:3: UserPools[0]: The id of the pool is, or was, another one's: ids are never used again, give another.";
    assert_eq!(house.refused(SEED), expected);
    assert!(events(&variables).len() >= before.len());
}

#[test]
fn two_servers_that_start_with_one_seed_make_it_once() {
    let house = House::new("seed_twice");
    // The schema exists, so that both servers come to the seed at the same moment.
    let mut dev = house.start("first", "UserPools: []");
    assert!(dev.end(Signal::SIGTERM).success(), "{}", dev.log());
    let users =
        (0..12).map(|number| format!("  - {{Username: user{number}, Password: Correct-horse-1, Groups: [readers]}}\n"));
    let seed = format!("{SEED}{}", users.collect::<String>());
    let file = house.seed(&seed);
    let mut servers = [house.spawn("first", &file), house.spawn("second", &file)];
    for server in &mut servers {
        assert!(server.is_ready(), "it is not ready; it says:\n{}\n{}", server.output(), server.log());
    }
    let variables = servers[1].variables();
    let made = events(&variables);
    let count = |kind: &str| made.iter().filter(|event| event.as_str() == kind).count();
    let counts =
        ["user_pool.created", "app_client.created", "group.created", "user.created_by_administrator"].map(count);
    assert_eq!((counts, made.len()), ([1, 2, 1, 14], 3 + 2 + 1 + 14 + 13 + 13), "{made:?}");
    assert_eq!((count("user.password_changed"), count("user.group_joined")), (13, 13));
    assert_seeded(&variables);
    assert_verified(&variables);
}

#[test]
fn a_wrong_seed_is_told_before_anything_is_started() {
    let directory = data_directory("seed-wrong");
    let (file, data) = (directory.join("seed.yaml"), directory.join("data"));
    fs::write(&file, with(SEED, "Correct-horse-1", "correct-horse-1")).expect("the directory is ours");
    let told = sentence_of(Dev::spawn(&data, |command| {
        command.env("USERPOOL_SEED", &file);
    }));
    let policy = "Password did not conform with policy: Password must have uppercase characters";
    assert_eq!(told, format!("{}:20:15: UserPools[0].Users[0].Password: {policy}", file.display()));
    assert!(!data.exists(), "nothing is made");
}
