//! Helpers for tests of the rules: given these events, when a command comes, then these events and this answer follow.

use crate::domain::app_client::AppClient;
use crate::domain::app_client::create_user_pool_client::{CreateUserPoolClient, create_user_pool_client};
use crate::domain::decision::{Aggregate, Decision, replay};
use crate::domain::error::{Error, Exception};
use crate::domain::ids::{StreamId, Sub};
use crate::domain::personal::Sealed;
use crate::domain::source::{Source, Tally};
use crate::domain::time::Timestamp;
use crate::domain::user::codes::{Guesser, SentCode};
use crate::domain::user::{Password, User};
use crate::domain::user_pool::UserPool;
use crate::domain::user_pool::create_user_pool::{CreateUserPool, create_user_pool};
use crate::proto::events::user_event::Event as UserEvent;
use crate::proto::events::{
    ConfirmedBy, UserConfirmed, UserCreatedByAdministrator, UserPasswordReset, UserPersonal, UserSignedUp,
    UserTemporaryPasswordSet,
};
use crate::proto::v1;

/// The user of most tests.
pub const JANE: Sub = Sub(uuid::Uuid::from_u128(0x00000000_0000_4000_8000_000000000001));

/// The point in time this many seconds after 1970.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp(0).plus_seconds(seconds)
}

/// Owned texts for a request.
pub fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Attributes in the form of a request.
pub fn written(attributes: &[(&str, &str)]) -> Vec<v1::AttributeType> {
    let written = |(name, value): &(&str, &str)| v1::AttributeType {
        name: Some((*name).to_owned()),
        value: Some((*value).to_owned()),
    };
    attributes.iter().map(written).collect()
}

/// The state that events yield: the first happens at second 0, each a second after the one before.
pub fn given<A: Aggregate>(stream: &StreamId, events: &[A::Event]) -> Option<A> {
    replay(None, stream, events.iter().zip((0..).map(at)))
}

/// The command that creates a pool from a request.
pub fn create_pool(request: v1::CreateUserPoolRequest) -> CreateUserPool {
    CreateUserPool {
        region: "us-east-1".to_owned(),
        account_id: "123456789012".to_owned(),
        issuer: "https://issuer.example.com/us-east-1_abcdefghi".to_owned(),
        signing_keys: Vec::new(),
        at: at(0),
        most_custom_attributes: 50,
        request,
    }
}

/// The pool that a request creates.
pub fn pool(request: v1::CreateUserPoolRequest) -> UserPool {
    let decision = create_user_pool(create_pool(request));
    decision.answer.expect("the pool is created");
    given(&StreamId::pool(), &decision.events).expect("the pool exists")
}

/// A pool with authenticator apps and nothing else as second factor, in this mode.
pub fn with_software_tokens(mode: &str) -> UserPool {
    let mut pool = pool(Default::default());
    pool.settings.mfa_configuration = Some(mode.to_owned());
    pool.settings.software_token_mfa_configuration = Some(v1::SoftwareTokenMfaConfigType { enabled: Some(true) });
    pool
}

/// The client that a request creates.
pub fn client(pool: &UserPool, request: v1::CreateUserPoolClientRequest) -> AppClient {
    let decision = create_user_pool_client(pool, CreateUserPoolClient { client_secret: None, request });
    decision.answer.expect("the client is created");
    given(&StreamId::new("clients/client"), &decision.events).expect("the client exists")
}

/// The event of a sign-up.
pub fn signed_up(username: &str, attributes: &[(&str, &str)]) -> UserEvent {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    UserEvent::SignedUp(UserSignedUp {
        personal: Some(UserPersonal { username: Some(username.to_owned()), attributes }),
        client_id: Some("client".to_owned()),
        password_hash: b"hash".to_vec(),
        srp_verifier: b"verifier".to_vec(),
    })
}

/// The two forms of a password.
pub fn password(text: &str) -> Password {
    let sealed = |form: &str| Sealed(format!("{form} of {text}").into_bytes());
    Password { hash: sealed("hash"), srp_verifier: sealed("verifier") }
}

/// The event of an administrator creating a user with a temporary password.
pub fn invited(username: &str, attributes: &[(&str, &str)]) -> UserEvent {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let Password { hash, srp_verifier } = password("temporary");
    UserEvent::CreatedByAdministrator(UserCreatedByAdministrator {
        personal: Some(UserPersonal { username: Some(username.to_owned()), attributes }),
        verified_attributes: Vec::new(),
        password_hash: hash.0,
        srp_verifier: srp_verifier.0,
    })
}

/// The event of a code that proves attributes.
pub fn confirmed(attributes: &[&str]) -> UserEvent {
    UserEvent::Confirmed(UserConfirmed { by: ConfirmedBy::Code.into(), verified_attributes: texts(attributes) })
}

/// The event of an administrator setting a temporary password.
pub fn temporary_password() -> UserEvent {
    UserEvent::TemporaryPasswordSet(UserTemporaryPasswordSet {
        password_hash: b"temporary hash".to_vec(),
        srp_verifier: b"temporary verifier".to_vec(),
    })
}

/// The event of an administrator resetting a password.
pub fn reset() -> UserEvent {
    UserEvent::PasswordReset(UserPasswordReset {})
}

/// The request for a pool that verifies e-mail addresses and phone numbers.
pub fn verifying_both() -> v1::CreateUserPoolRequest {
    let auto_verified_attributes = texts(&["email", "phone_number"]);
    v1::CreateUserPoolRequest { auto_verified_attributes, ..Default::default() }
}

/// The user that these events yield.
pub fn user(events: &[UserEvent]) -> User {
    given(&StreamId::user(JANE), events).expect("the user exists")
}

/// The exception and message of a refusal.
pub fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> (Exception, String) {
    let error = answer.expect_err("a refusal");
    (error.exception, error.message.into_owned())
}

/// The exception and message of a decision that refuses and writes nothing.
pub fn refused<Event, Activity, Answer: std::fmt::Debug>(
    decision: Decision<Event, Activity, Answer>,
) -> (Exception, String) {
    assert!(decision.events.is_empty() && decision.activity.is_empty() && decision.messages.is_empty());
    refusal(decision.answer)
}

/// The message of a decision that refuses a parameter.
pub fn refused_parameter<Event, Activity, Answer: std::fmt::Debug>(
    decision: Decision<Event, Activity, Answer>,
) -> String {
    let (exception, message) = refused(decision);
    assert_eq!(exception, Exception::InvalidParameterException, "{message}");
    message
}

/// The network that requests the codes of tests.
pub const HERE: Guesser<'_> = Guesser { network: b"here", source: Source::Strange, is_known: false };

/// A code for an e-mail address, requested from `here` at second 0 and valid until second 100. Its hash is `right`.
pub fn sent_code() -> SentCode {
    SentCode {
        hash: b"right".to_vec(),
        attribute: "email".to_owned(),
        asked_from: Some(HERE.network.to_vec()),
        attempts: Tally::default(),
        expires_at: at(100),
        sent: Tally { familiar: 1, strange: 0 },
        window_began: at(0),
    }
}
