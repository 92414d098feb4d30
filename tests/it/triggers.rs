//! Asking triggers: attempts, silence, garbage, doubled and foreign replies, many calls at once.

use std::time::{Duration, Instant};

use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use userpool::domain::trigger::Trigger;
use userpool::proto::v1::*;

use crate::support::client::{Api, Refusal, assert_refused};
use crate::support::pool::{Pool, email_pool, password_client, unique};
use crate::support::triggers::{self, Asked, Reply, lambda_config};

const UNRECOGNIZABLE: (&str, &str) = ("InvalidLambdaResponseException", "Unrecognizable lambda output");
const SILENCE: (&str, &str) = (
    "UnexpectedLambdaException",
    "PreSignUp invocation failed due to error Socket timeout while invoking Lambda function.",
);

async fn pool() -> Pool {
    let lambda_config = Some(lambda_config(&[Trigger::PreSignUp]));
    Pool::create_with(CreateUserPoolRequest { lambda_config, ..email_pool() }, password_client()).await
}

fn confirms(asked: &Asked) -> Reply {
    asked.answered(json!({"autoConfirmUser": true}))
}

#[tokio::test]
async fn a_reply_that_is_no_event_is_refused() {
    let pool = pool().await;
    for reply in
        ["null", "7", "", "not JSON", "{}", r#"{"response":null}"#, r#"{"response":{"autoConfirmUser":"yes"}}"#]
    {
        let responder = triggers::respond(&pool.id, move |_| Reply::Raw(reply.as_bytes().to_vec())).await;
        assert_refused(pool.sign_up("jane", &[]).await, UNRECOGNIZABLE.0, UNRECOGNIZABLE.1);
        assert_eq!(responder.asked().len(), 1, "garbage is a reply: {reply:?}");
    }
    pool.verify().await;
}

/// The answer of an administrator's operation about a user named Jane.
async fn create(pool: &Pool) -> Result<AdminCreateUserResponse, Refusal> {
    pool.api.call(pool.create_user_request("jane", &[])).await
}

#[tokio::test]
async fn an_administrator_is_told_of_silence_and_garbage_as_well() {
    let pool = pool().await;
    triggers::respond(&pool.id, |_| Reply::Raw(b"null".to_vec())).await;
    assert_refused(create(&pool).await, UNRECOGNIZABLE.0, UNRECOGNIZABLE.1);
    triggers::respond(&pool.id, |_| Reply::Silence).await;
    assert_refused(create(&pool).await, SILENCE.0, SILENCE.1);
    assert_refused(pool.admin_get_user("jane").await, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn a_silent_trigger_is_asked_three_times_with_the_same_question() {
    let pool = pool().await;
    let responder = triggers::respond(&pool.id, |_| Reply::Silence).await;
    let started = Instant::now();
    assert_refused(pool.sign_up("jane", &[]).await, SILENCE.0, SILENCE.1);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(15) && took < Duration::from_secs(25), "{took:?}");
    let asked = responder.asked();
    assert_eq!(asked.iter().map(Asked::attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(asked.iter().all(|other| other.key == asked[0].key && other.event == asked[0].event));
    assert_refused(pool.admin_get_user("jane").await, "UserNotFoundException", "User does not exist.");
    pool.verify().await;
}

#[tokio::test]
async fn a_reply_to_a_later_attempt_counts_and_so_does_a_late_one() {
    let pool = pool().await;
    triggers::respond(&pool.id, |asked| if asked.attempt() == 2 { confirms(asked) } else { Reply::Silence }).await;
    // This one replies to the first attempt while the second waits.
    let slow = self::pool().await;
    triggers::respond(&slow.id, |asked| match asked.attempt() {
        1 => Reply::After(Duration::from_secs(6), Box::new(confirms(asked))),
        _ => Reply::Silence,
    })
    .await;
    let (first, second) = tokio::join!(pool.sign_up("jane", &[]), slow.sign_up("jane", &[]));
    assert!(first.unwrap().user_confirmed() && second.unwrap().user_confirmed());
    pool.verify().await;
    slow.verify().await;
}

#[tokio::test]
async fn the_first_reply_counts_and_doubled_ones_are_dropped() {
    let pool = pool().await;
    let refusal = || Reply::Error("too late".to_owned());
    triggers::respond(&pool.id, move |asked| Reply::Many(vec![confirms(asked), confirms(asked), refusal()])).await;
    let names: Vec<_> = (0..20).map(|_| unique("jane")).collect();
    let answers = join_all(names.iter().map(|name| pool.sign_up(name, &[]))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().user_confirmed()));
    pool.verify().await;
}

#[tokio::test]
async fn foreign_replies_answer_nobody() {
    let pool = pool().await;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &pool.api.environment().kafka.bootstrap).create().unwrap();
    triggers::respond(&pool.id, move |asked| {
        // Replies under another id, without one, and under one that is no text, on the partition of the question.
        for id in [Some(&b"00000000000000000000000000000000"[..]), Some(b"\xff\xfe"), None] {
            let headers = id.into_iter().fold(OwnedHeaders::new(), |headers, id| {
                headers.insert(Header { key: "correlation-id", value: Some(id) })
            });
            let partition = asked.headers["reply-partition"].parse().unwrap();
            let payload = json!({"errorMessage": "foreign"}).to_string();
            let record = FutureRecord::<str, _>::to("userpool.triggers.replies").payload(&payload);
            let _ = producer.send_result(record.partition(partition).headers(headers));
        }
        Reply::After(Duration::from_millis(200), Box::new(confirms(asked)))
    })
    .await;
    assert!(pool.sign_up("jane", &[]).await.unwrap().user_confirmed());
    pool.verify().await;
}

#[tokio::test]
async fn each_of_many_calls_gets_its_own_answer_from_either_process() {
    let pool = pool().await;
    triggers::respond(&pool.id, |asked| {
        let name = asked.event["userName"].as_str().unwrap();
        match name.ends_with('0') {
            true => Reply::Error(format!("no {name}")),
            false => asked.answered(json!({"autoConfirmUser": name.ends_with('1')})),
        }
    })
    .await;
    let names: Vec<_> = (0..60).map(|number| format!("{}{}", unique("user"), number % 3)).collect();
    let answers = join_all(names.iter().map(|name| pool.sign_up(name, &[]))).await;
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Ok(answer) => assert_eq!(answer.user_confirmed(), name.ends_with('1'), "{name}"),
            Err(refusal) => {
                assert!(name.ends_with('0'), "{name}: {refusal:?}");
                assert_eq!(refusal.message, format!("PreSignUp failed with error no {name}."));
            }
        }
    }
    pool.verify().await;
}

#[tokio::test]
async fn a_function_that_is_silent_slows_no_other() {
    const IN_FLIGHT: usize = userpool::triggers::IN_FLIGHT;
    let (silent, quick) = (pool().await, pool().await);
    let responder = triggers::respond(&silent.id, |_| Reply::Silence).await;
    triggers::respond(&quick.id, confirms).await;
    // Both processes have their own places.
    let crowd = 2 * IN_FLIGHT + 20;
    let names: Vec<_> = (0..crowd).map(|_| unique("jane")).collect();
    // A connection has fewer calls at once.
    let connections = join_all((0..8).map(|_| Api::connect())).await;
    let waiting = names.iter().zip(connections.iter().cycle());
    let waiting = join_all(waiting.map(|(name, api)| api.call_once(silent.sign_up_request(name, &[]))));
    let quickly = async {
        while responder.asked().len() < IN_FLIGHT {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let started = Instant::now();
        assert!(quick.sign_up("jane", &[]).await.unwrap().user_confirmed());
        started.elapsed()
    };
    let (answers, took) = tokio::join!(waiting, quickly);
    // It waits for none of the silent ones.
    assert!(took < Duration::from_secs(10), "{took:?}");
    let crowded = "Too many requests";
    let refused: Vec<_> = answers.into_iter().map(|answer| answer.unwrap_err()).collect();
    let (at_once, in_the_end): (Vec<_>, Vec<_>) = refused.iter().partition(|refusal| refusal.message == crowded);
    // How many go to which process depends on other scenarios.
    assert!(at_once.len() >= crowd - 2 * IN_FLIGHT, "{}", at_once.len());
    assert!(in_the_end.iter().all(|refusal| refusal.message == SILENCE.1), "{in_the_end:?}");
    silent.verify().await;
    quick.verify().await;
}
