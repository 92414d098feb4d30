//! Turns a row of a log into a record on Kafka: a CloudEvent 1.0 in binary mode.
//!
//! The body is the event's message as JSON by field name, without private fields. A field with its default value is
//! absent. Everything else is in headers:
//!
//! | header | value |
//! |---|---|
//! | `ce_specversion` | `1.0` |
//! | `ce_id` | the event's id; the same if the event is published twice |
//! | `ce_type` | `userpool.<type>.v<schema version>` |
//! | `ce_source` | `/userpool/<user pool id>`, or `/userpool` for facts that belong to no pool |
//! | `ce_subject` | the subject: `users/<sub>`, `clients/<client id>`, `pool`, `service-accounts/<access key id>` |
//! | `ce_time` | when it happened, RFC 3339 in UTC |
//! | `ce_dataschema` | `urn:userpool:schema:<type>:v<schema version>` |
//! | `ce_partitionkey` | the record's key |
//! | `ce_streamversion` | `userpool.directory` only: the place in the stream, from 1 without a gap |
//! | `ce_actorkind`, `ce_actorid` | who acted: `user`, `app_client`, `service_account` or `operator`, and which |
//! | `ce_operation`, `ce_requestid` | the operation, and the id of the request |
//! | `traceparent` | the W3C trace context of the call that caused the event, if it is traced or its caller sent one |
//! | `content-type` | `application/json` |
//!
//! The subject of an event of the log is its stream. A fact has no stream; its subject is that of its owner, so that
//! facts about a user have the same subject as the user's events.
//!
//! The key is `<user pool id>/<owner>`, with `-` for no pool. The owner is the subject without its kind, so all records
//! about a user have one key and keep their order.
//!
//! The producer sets the record's timestamp to the time of publishing, and retention counts from there, even for events
//! that are published late or again.

use serde::Deserialize;
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;

use crate::domain::ids::{StreamId, UserPoolId};
use crate::kafka::config::DEFAULT_LARGEST;
use crate::proto::EventType;
use crate::store::event_size::LARGEST_EVENT;
use crate::store::feed::{FeedRow, Log};
use crate::store::history::SCHEMA_VERSION;
use crate::store::metadata::{ActorKind, Metadata};
use crate::store::to_database;
use crate::telemetry::trace::TraceContext;

/// The member of a stored payload that holds the sealed personal part of the event.
const SEALED: &str = "sealed";
const TRACEPARENT: &str = "traceparent";
/// The most bytes that librdkafka and the protocol add to the parts of a record.
const OVERHEAD: usize = 1_000;
/// Every committed event can be published: there is room for its key and its headers.
const _: () = assert!(LARGEST_EVENT + 48_000 + OVERHEAD <= DEFAULT_LARGEST);

/// A record without its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key, by which Kafka chooses the partition.
    pub key: String,
    /// Headers by name, each once.
    pub headers: Vec<(&'static str, String)>,
    /// The event's public fields as a JSON object.
    pub body: Vec<u8>,
}

/// Why an event can't be published as a whole. Then it is not published at all, and neither is any later event of its
/// key. These texts are stored and shown, so they contain nothing from the event.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Poison {
    /// The type is from a later release, so it is unknown which of its fields are private.
    #[error("its type is unknown to this release")]
    UnknownType,
    #[error("version {0} of its schema is unknown to this release")]
    UnknownSchemaVersion(i32),
    #[error("its field {0:?} is unknown to this release")]
    UnknownField(String),
    #[error("its payload is no JSON object")]
    Payload,
    #[error("its metadata are not what this release writes")]
    Metadata(#[source] serde_json::Error),
    #[error("its body can't be written")]
    Body(#[source] serde_json::Error),
    #[error("its time can't be written: {0}")]
    Time(#[from] time::error::Format),
    #[error("its record of {0} bytes is larger than the {1} of message.max.bytes")]
    TooLarge(usize, usize),
    #[error("the brokers refuse its record of {0} bytes as too large")]
    Refused(usize),
}

/// The key of a row's record, even if no record can be made of the row.
pub fn key(row: &FeedRow) -> String {
    format!("{}/{}", row.user_pool_id, subject(row).owner())
}

/// The record of a row, which has at most `largest` bytes.
pub fn record(log: Log, row: &FeedRow, largest: usize) -> Result<Record, Poison> {
    let event_type = EventType::by_name(&row.kind).ok_or(Poison::UnknownType)?;
    if !(1..=SCHEMA_VERSION).contains(&row.schema_version) {
        return Err(Poison::UnknownSchemaVersion(row.schema_version));
    }
    let metadata = Metadata::deserialize(&row.metadata).map_err(Poison::Metadata)?;
    let subject = subject(row);
    let key = key(row);
    let mut headers = vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", row.event_id.to_string()),
        ("ce_type", format!("userpool.{}.v{}", row.kind, row.schema_version)),
        ("ce_source", source(&row.user_pool_id)),
        ("ce_subject", subject.to_string()),
        ("ce_time", to_database(row.at).format(&Rfc3339)?),
        ("ce_dataschema", format!("urn:userpool:schema:{}:v{}", row.kind, row.schema_version)),
        ("ce_partitionkey", key.clone()),
    ];
    if let (Log::Directory, Some(version)) = (log, row.stream_version) {
        headers.push(("ce_streamversion", version.to_string()));
    }
    headers.extend(provenance(metadata));
    headers.push(("content-type", "application/json".to_owned()));
    let body = serde_json::to_vec(&public_part(event_type, &row.payload)?).map_err(Poison::Body)?;
    let record = Record { key, headers, body };
    let size = record.size();
    if size > largest { Err(Poison::TooLarge(size, largest)) } else { Ok(record) }
}

impl Record {
    /// The trace that the record belongs to.
    pub fn trace_context(&self) -> Option<TraceContext> {
        let header = self.headers.iter().find(|(name, _)| *name == TRACEPARENT)?;
        header.1.parse().ok()
    }

    /// Consumers join the trace here. A record that belongs to no trace stays as it is.
    pub fn continue_from(&mut self, context: &TraceContext) {
        let header = self.headers.iter_mut().find(|(name, _)| *name == TRACEPARENT);
        header.into_iter().for_each(|(_, value)| *value = context.to_string());
    }

    /// The most bytes that the record takes on its way.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 10).sum();
        self.key.len() + headers + self.body.len() + OVERHEAD
    }
}

/// The public fields of a payload. They are listed, and so are the private ones: a field in neither list is from a
/// later release and could be secret, and without it the event would be incomplete, so it is refused.
fn public_part(event_type: &EventType, payload: &Value) -> Result<Map<String, Value>, Poison> {
    let members = payload.as_object().ok_or(Poison::Payload)?;
    let mut public = Map::new();
    for (name, value) in members {
        if event_type.public.contains(&name.as_str()) {
            public.insert(name.clone(), value.clone());
        } else if name != SEALED && !event_type.private.contains(&name.as_str()) {
            return Err(Poison::UnknownField(name.clone()));
        }
    }
    Ok(public)
}

/// The subject of a row.
fn subject(row: &FeedRow) -> StreamId {
    let stream = StreamId::new(&row.stream_id);
    if row.stream_version.is_some() {
        return stream;
    }
    // The owner of a fact is an id without its kind; the kind follows from the event's type.
    match row.kind.split_once('.').map_or("", |(aggregate, _)| aggregate) {
        "user" => StreamId::new(format!("users/{}", stream.owner())),
        "developer" | "service_account" => StreamId::new(format!("service-accounts/{}", stream.owner())),
        _ => stream,
    }
}

fn source(user_pool_id: &str) -> String {
    if user_pool_id == UserPoolId::none().as_str() {
        "/userpool".to_owned()
    } else {
        format!("/userpool/{user_pool_id}")
    }
}

/// The headers about the origin of an event, without the caller's address.
fn provenance(metadata: Metadata) -> impl Iterator<Item = (&'static str, String)> {
    let actor_kind = match metadata.actor.kind {
        ActorKind::User => "user",
        ActorKind::AppClient => "app_client",
        ActorKind::ServiceAccount => "service_account",
        ActorKind::Operator => "operator",
    };
    // Earlier releases stored what the caller sent: it could be anything, such as a person's name.
    let traceparent = metadata.trace_context().map(|context| context.to_string());
    [
        ("ce_actorkind", Some(actor_kind.to_owned())),
        ("ce_actorid", Some(metadata.actor.id)),
        ("ce_operation", Some(metadata.operation)),
        ("ce_requestid", Some(metadata.request_id)),
        (TRACEPARENT, traceparent),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.filter(|value| !value.is_empty()).map(|value| (name, value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use prost_reflect::{Kind, MessageDescriptor};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::time::Timestamp;
    use crate::kafka::config::DEFAULT_LARGEST;
    use crate::proto::{EVENT_TYPES, descriptor_pool};
    use crate::store::feed::Cursor;

    const POOL: &str = "us-east-1_abcdefghi";
    const SUB: &str = "6f1c7d3e-0000-4000-8000-000000000001";
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn row(stream: &str, version: Option<i64>, kind: &str, payload: Value) -> FeedRow {
        FeedRow {
            cursor: Cursor::start(),
            user_pool_id: POOL.to_owned(),
            stream_id: stream.to_owned(),
            stream_version: version,
            event_id: Uuid::from_u128(7),
            kind: kind.to_owned(),
            schema_version: 1,
            payload,
            metadata: json!({
                "actor": { "kind": "app_client", "id": "client" },
                "operation": "SignUp",
                "request_id": "request",
                "traceparent": TRACE,
                "address": "c2VhbGVkIGFkZHJlc3M=",
            }),
            at: Timestamp(1_700_000_000_123),
        }
    }

    fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
        record.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn an_event_of_the_log_becomes_a_cloud_event() {
        let payload =
            json!({ "sealed": "c2VhbGVk", "client_id": "client", "password_hash": "aGFzaA==", "srp_verifier": "dg==" });
        let record =
            record(Log::Directory, &row(&format!("users/{SUB}"), Some(1), "user.signed_up", payload), DEFAULT_LARGEST)
                .unwrap();
        let key = format!("{POOL}/{SUB}");
        assert_eq!(record.key, key);
        assert_eq!(record.body, br#"{"client_id":"client"}"#);
        let subject = format!("users/{SUB}");
        let source = format!("/userpool/{POOL}");
        let expected = [
            ("ce_specversion", "1.0"),
            ("ce_id", "00000000-0000-0000-0000-000000000007"),
            ("ce_type", "userpool.user.signed_up.v1"),
            ("ce_source", &source),
            ("ce_subject", &subject),
            ("ce_time", "2023-11-14T22:13:20.123Z"),
            ("ce_dataschema", "urn:userpool:schema:user.signed_up:v1"),
            ("ce_partitionkey", &key),
            ("ce_streamversion", "1"),
            ("ce_actorkind", "app_client"),
            ("ce_actorid", "client"),
            ("ce_operation", "SignUp"),
            ("ce_requestid", "request"),
            ("traceparent", TRACE),
            ("content-type", "application/json"),
        ];
        let headers: Vec<(&str, &str)> = record.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_fact_has_its_owners_subject_and_key_but_no_version() {
        let payload = json!({ "client_id": "client", "auth_flow": "USER_PASSWORD_AUTH", "session_id": "s" });
        let fact =
            record(Log::Activity, &row(&format!("activity/{SUB}"), None, "user.signed_in", payload), DEFAULT_LARGEST)
                .unwrap();
        assert_eq!(fact.key, format!("{POOL}/{SUB}"));
        assert_eq!(header(&fact, "ce_subject"), Some(format!("users/{SUB}").as_str()));
        assert_eq!(header(&fact, "ce_streamversion"), None);

        let mut about_account =
            row("activity/AKIA", None, "service_account.revoked", json!({ "access_key_id": "AKIA" }));
        about_account.user_pool_id = UserPoolId::none().to_string();
        let fact = record(Log::Activity, &about_account, DEFAULT_LARGEST).unwrap();
        assert_eq!(fact.key, "-/AKIA");
        assert_eq!(header(&fact, "ce_subject"), Some("service-accounts/AKIA"));
        assert_eq!(header(&fact, "ce_source"), Some("/userpool"));
    }

    #[test]
    fn the_pool_and_its_clients_are_their_own_owners() {
        let client =
            row("clients/abc", Some(1), "app_client.created", json!({ "settings": {}, "client_secret": "c2VjcmV0" }));
        let client = record(Log::Directory, &client, DEFAULT_LARGEST).unwrap();
        assert_eq!(
            (client.key.as_str(), client.body.as_slice()),
            ("us-east-1_abcdefghi/abc", b"{\"settings\":{}}".as_slice())
        );
        let pool =
            record(Log::Directory, &row("pool", Some(1), "user_pool.created", json!({ "name": "n" })), DEFAULT_LARGEST)
                .unwrap();
        assert_eq!((pool.key.as_str(), header(&pool, "ce_subject")), ("us-east-1_abcdefghi/pool", Some("pool")));
    }

    #[test]
    fn an_event_that_can_not_be_published_as_a_whole_is_refused() {
        let stream = format!("users/{SUB}");
        let refused = |row: &FeedRow| record(Log::Directory, row, DEFAULT_LARGEST).unwrap_err();
        let known = row(&stream, Some(1), "user.deleted", json!({}));
        assert!(matches!(refused(&FeedRow { kind: "user.cloned".to_owned(), ..known.clone() }), Poison::UnknownType));
        assert!(matches!(refused(&FeedRow { schema_version: 2, ..known.clone() }), Poison::UnknownSchemaVersion(2)));
        assert!(matches!(refused(&FeedRow { payload: json!([]), ..known.clone() }), Poison::Payload));
        assert!(matches!(refused(&FeedRow { metadata: json!({}), ..known.clone() }), Poison::Metadata(_)));
        let later = FeedRow { payload: json!({ "passkey": "secret" }), ..known };
        assert!(matches!(refused(&later), Poison::UnknownField(name) if name == "passkey"));
        let large = json!({ "client_id": "x".repeat(DEFAULT_LARGEST) });
        let large = row(&stream, Some(1), "user.signed_up", large);
        assert!(matches!(refused(&large), Poison::TooLarge(..)));
        assert!(
            record(Log::Directory, &large, 2 * DEFAULT_LARGEST).is_ok(),
            "a larger record is taken where that is set"
        );
    }

    #[test]
    fn the_reason_of_a_refusal_contains_nothing_from_the_event() {
        let stream = format!("users/{SUB}");
        let mut row = row(&stream, Some(1), "user.deleted", json!({ "passkey": "a secret" }));
        let shown = |row: &FeedRow| record(Log::Directory, row, DEFAULT_LARGEST).unwrap_err().to_string();
        assert_eq!(shown(&row), "its field \"passkey\" is unknown to this release");
        row.metadata = json!("jane@example.com");
        assert_eq!(shown(&row), "its metadata are not what this release writes");
    }

    #[test]
    fn only_a_trace_context_is_passed_on() {
        let mut row = row(&format!("users/{SUB}"), Some(1), "user.deleted", json!({}));
        row.metadata["traceparent"] = json!("jane@example.com");
        let record = record(Log::Directory, &row, DEFAULT_LARGEST).unwrap();
        assert_eq!(header(&record, "traceparent"), None);
    }

    /// The lists of an event's type name its own fields. Messages inside these fields must not contain secrets.
    #[test]
    fn nothing_inside_a_public_field_is_secret() {
        let secret = descriptor_pool().get_extension_by_name("userpool.v1.secret").unwrap();
        let sensitive = descriptor_pool().get_extension_by_name("userpool.v1.sensitive").unwrap();
        let events = descriptor_pool().files().filter(|file| file.package_name() == "userpool.events.v1");
        let oneofs = events
            .flat_map(|file| file.messages().collect::<Vec<_>>())
            .flat_map(|message| message.oneofs().collect::<Vec<_>>());
        let mut messages: Vec<(MessageDescriptor, bool)> = oneofs
            .filter(|oneof| !oneof.is_synthetic())
            .flat_map(|oneof| oneof.fields().collect::<Vec<_>>())
            .filter_map(|field| field.kind().as_message().map(|message| (message.clone(), true)))
            .collect();
        assert_eq!(messages.len(), EVENT_TYPES.len());
        let mut seen = Vec::new();
        while let Some((message, is_event)) = messages.pop() {
            for field in message.fields() {
                assert_ne!(field.name(), SEALED, "{}: the store puts the sealed part there", message.full_name());
                let flagged = |option| field.options().get_extension(option).as_bool() == Some(true);
                let private = field.name() == "personal" || flagged(&secret);
                assert!(is_event || !private, "{} would be published", field.full_name());
                assert!(private || !flagged(&sensitive), "{} would be published", field.full_name());
                if let Kind::Message(inner) = field.kind()
                    && !private
                    && !seen.contains(&inner)
                {
                    seen.push(inner.clone());
                    messages.push((inner, false));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_private_ever_shows(
            index in 0..EVENT_TYPES.len(),
            order in subsequence((0..24).collect::<Vec<usize>>(), 0..24),
            log in select(Log::ALL.to_vec()),
            mark in "[a-z]{24}",
        ) {
            let event_type = &EVENT_TYPES[index];
            let private = event_type.private.iter().copied().chain([SEALED]).map(|name| (name, json!(mark)));
            let nested = event_type.private.iter().map(|name| (*name, json!({ "attributes": { "email": [mark] } })));
            let public = event_type.public.iter().map(|name| (*name, json!("shown")));
            let candidates: Vec<(&str, Value)> = private.chain(nested).chain(public).collect();
            let payload: Map<String, Value> = order
                .iter()
                .filter_map(|at| candidates.get(*at))
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            let shown = payload.keys().filter(|name| event_type.public.contains(&name.as_str())).count();
            let mut row = row("users/x", Some(1), event_type.name, Value::Object(payload));
            row.metadata["traceparent"] = json!(mark);
            row.metadata["address"] = json!(mark);
            let record = record(log, &row, DEFAULT_LARGEST).unwrap();
            let body: Map<String, Value> = serde_json::from_slice(&record.body).unwrap();
            prop_assert_eq!(body.len(), shown);
            let everything = format!("{record:?} {body:?}");
            prop_assert!(!everything.contains(&mark), "{}", everything);
        }

        #[test]
        fn a_field_of_a_later_release_is_never_published(index in 0..EVENT_TYPES.len(), name in "[a-z_]{1,12}") {
            let event_type = &EVENT_TYPES[index];
            let known = event_type.public.contains(&name.as_str()) || event_type.private.contains(&name.as_str());
            prop_assume!(!known && name != SEALED);
            let mut payload = Map::new();
            payload.insert(name, json!("value"));
            let row = row("users/x", Some(1), event_type.name, Value::Object(payload));
            prop_assert!(matches!(record(Log::Directory, &row, DEFAULT_LARGEST), Err(Poison::UnknownField(_))));
        }
    }
}
