//! What a consumer on Kafka sees of a scenario.

use userpool::proto::v1::*;

use crate::support::events::{ACTIVITY, DIRECTORY, Record, read_until};
use crate::support::pool::{PASSWORD, Pool, email_pool, password_client};

/// The records of a key, once there are at least this many.
async fn records_of(pool: &Pool, topic: &'static str, owner: &str, count: usize) -> Vec<Record> {
    let key = format!("{}/{owner}", pool.id);
    let wanted = key.clone();
    let enough = move |records: &[Record]| records.iter().filter(|record| record.key == wanted).count() >= count;
    let records = read_until(&pool.api.environment().kafka.bootstrap, topic, enough).await;
    records.into_iter().filter(|record| record.key == key).collect()
}

fn kinds(records: &[Record]) -> Vec<&str> {
    records.iter().map(Record::kind).collect()
}

#[tokio::test]
async fn a_consumer_sees_what_happened_in_order_and_nothing_personal() {
    let client = CreateUserPoolClientRequest { generate_secret: Some(false), ..password_client() };
    let pool = Pool::create_with(email_pool(), client).await;
    let person = pool.person_with("seen", &[("given_name", "Unmistakable")]).await;
    let wrong = pool.sign_in(&person.username, "Wrong-horse-7").await.unwrap_err();
    assert_eq!(wrong.exception, "NotAuthorizedException");
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    pool.sign_out(tokens.access_token()).await.unwrap();
    let tokens = pool.sign_in(&person.username, PASSWORD).await.unwrap();
    pool.delete_user(tokens.access_token()).await.unwrap();

    let directory = records_of(&pool, DIRECTORY, &person.sub, 4).await;
    assert_eq!(kinds(&directory), ["user.signed_up", "user.confirmed", "user.signed_out", "user.deleted"]);
    let activity = records_of(&pool, ACTIVITY, &person.sub, 4).await;
    assert_eq!(kinds(&activity), ["user.code_sent", "user.sign_in_refused", "user.signed_in", "user.signed_in"]);
    let about_pool = records_of(&pool, DIRECTORY, "pool", 3).await;
    assert_eq!(kinds(&about_pool), ["user_pool.created", "user_pool.signing_key_added", "user_pool.signing_key_added"]);
    let about_client = records_of(&pool, DIRECTORY, &pool.client_id, 1).await;
    assert_eq!(kinds(&about_client), ["app_client.created"]);

    let operations = ["SignUp", "ConfirmSignUp", "GlobalSignOut", "DeleteUser"];
    for ((record, operation), version) in directory.iter().zip(operations).zip(1..) {
        assert_eq!(record.header("ce_streamversion"), version.to_string());
        assert_eq!(record.header("ce_operation"), operation);
    }
    for (record, version) in about_pool.iter().zip(1..) {
        assert_eq!(record.header("ce_streamversion"), version.to_string());
        assert_eq!(record.header("ce_subject"), "pool");
    }
    let mut ids = std::collections::BTreeSet::new();
    for record in directory.iter().chain(&activity) {
        assert_eq!(record.header("ce_specversion"), "1.0");
        assert_eq!(record.header("ce_source"), format!("/userpool/{}", pool.id));
        assert_eq!(record.header("ce_subject"), format!("users/{}", person.sub));
        assert_eq!(record.header("ce_partitionkey"), record.key);
        assert_eq!(record.header("ce_dataschema"), format!("urn:userpool:schema:{}:v1", record.kind()));
        assert_eq!(record.header("content-type"), "application/json");
        assert!(record.header("ce_time").ends_with('Z'), "{}", record.header("ce_time"));
        assert!(!record.header("ce_requestid").is_empty());
        assert!(ids.insert(record.header("ce_id").to_owned()), "an event came twice");
        assert!(record.json().is_object());
    }
    for fact in &activity {
        assert_eq!(fact.header("ce_streamversion"), "");
    }
    // Records of one key share one partition.
    for records in [&directory, &activity, &about_pool] {
        assert!(records.iter().all(|record| record.partition == records[0].partition));
    }
    assert_eq!(directory[0].json()["client_id"], pool.client_id.as_str());
    assert_eq!(activity[2].json()["auth_flow"], "USER_PASSWORD_AUTH");

    let secrets = ["Unmistakable", person.email.as_str(), person.username.as_str(), PASSWORD, "Wrong-horse-7"];
    for record in directory.iter().chain(&activity).chain(&about_pool).chain(&about_client) {
        let text = record.text();
        for secret in secrets {
            assert!(!text.contains(secret), "{} in {}", secret, record.kind());
        }
        for private in ["password_hash", "srp_verifier", "private_key", "sealed", "client_secret"] {
            assert!(!text.contains(private), "{private} in {}", record.kind());
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_trace_goes_with_its_event() {
    let pool = Pool::create().await;
    let body = serde_json::json!({
        "ClientId": pool.client_id,
        "Username": crate::support::pool::unique("traced"),
        "Password": PASSWORD,
    });
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("x-amz-target", "AWSCognitoIdentityProviderService.SignUp"), ("traceparent", trace)];
    let environment = pool.api.environment();
    let answer = loop {
        let address = environment.processes[environment.next()].http;
        let answer = crate::support::http::send(address, "POST", "/", &headers, body.to_string().as_bytes()).await;
        // Scenarios run in parallel, so there may be no capacity at the moment.
        if answer.status == 200 || answer.exception().0 != "TooManyRequestsException" {
            break answer;
        }
    };
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer_json = answer.json();
    let records = records_of(&pool, DIRECTORY, answer_json["UserSub"].as_str().unwrap(), 1).await;
    assert_eq!(records[0].header("traceparent"), trace);
    assert_eq!(records[0].header("ce_requestid"), answer.headers["x-amzn-requestid"]);
    assert_eq!(records[0].header("ce_actorkind"), "app_client");
    assert_eq!(records[0].header("ce_actorid"), pool.client_id);
    pool.verify().await;
}
