//! Turns decisions into rows: seals, applies, encodes. There is no database here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Change, Commit, Kept, Marker, OperationalRow, Unnamed};
use crate::domain::decision::replay;
use crate::domain::ids::{StreamId, Sub, UserPoolId};
use crate::domain::message::Message;
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::trigger::notice::Notice;
use crate::domain::user::User;
use crate::domain::user::search::SearchEntry;
use crate::domain::user_pool::{NameRules, UserPool};
use crate::environment::Random;
use crate::proto::EventPayload;
use crate::proto::events::{CodePurpose, user_activity};
use crate::store::answers::{AnswerRow, Sealer};
use crate::store::error::StoreError;
use crate::store::event_level::Needed;
use crate::store::event_size;
use crate::store::history::{SCHEMA_VERSION, seal_personal};
use crate::store::keys::{MasterKeys, PoolKeys};
use crate::store::metadata::{Actor, ActorKind, Metadata, Origin};
use crate::store::models::{Consequences, Counted, Derived, MODELS, Model, Modelled};
use crate::store::outbox::{self, LONGEST_LIFE_SECONDS};
use crate::store::outcome::Recorded;
use crate::store::seal::{DataKey, FieldClass, Place};
use crate::store::to_database;

/// A row of `log`.
pub(super) struct LogRow {
    pub stream: StreamId,
    pub version: i64,
    pub event_id: Uuid,
    pub kind: &'static str,
    /// The level that the event needs.
    pub level: i32,
    pub payload: Value,
    pub metadata: Value,
}

/// A row of `activity`.
#[derive(Debug)]
pub(crate) struct ActivityRow {
    pub event_id: Uuid,
    pub owner: String,
    pub kind: &'static str,
    /// The level that the fact needs.
    pub level: i32,
    pub schema_version: i32,
    pub payload: Value,
    pub metadata: Value,
    pub at: OffsetDateTime,
}

impl ActivityRow {
    /// What the fact is found by after it is written.
    pub(in crate::store) fn recorded(&self) -> Recorded {
        Recorded { id: self.event_id, at: self.at }
    }

    /// The level that has to be allowed before the fact is written.
    pub(in crate::store) fn needed(&self) -> Needed {
        Needed { kind: self.kind, level: self.level }
    }
}

/// A read-model row, or its deletion.
pub(super) struct ModelRow {
    pub stream: StreamId,
    pub model: &'static Model,
    pub version: i64,
    pub revision: i32,
    pub state: Option<Value>,
}

/// The derived rows of one kind of aggregate that changed, each with the id of its aggregate.
pub(super) struct Following {
    pub model: &'static Model,
    /// Ids that begin to exist.
    pub begun: Vec<String>,
    /// Ids that cease to exist.
    pub ended: Vec<String>,
    /// Names with the ids that release them.
    pub released: Vec<(String, String)>,
    pub claimed: Vec<(String, String)>,
    /// Ids of other aggregates, such as groups that are left.
    pub left: Vec<(Uuid, String)>,
    pub joined: Vec<(Uuid, String)>,
    /// Search values with the ids that lose them.
    pub forgotten: Vec<(SearchEntry, String)>,
    pub searchable: Vec<(SearchEntry, String)>,
}

/// A row of `outbox`.
pub(super) struct OutboxRow {
    pub id: Uuid,
    pub owner: String,
    pub kind: &'static str,
    pub sealed: Sealed,
    pub medium: &'static str,
    /// The purpose of the code in the message, if it has one.
    pub purpose: Option<&'static str>,
    pub expires_at: OffsetDateTime,
    /// The trace in which the message is delivered.
    pub traceparent: Option<String>,
}

/// Everything that a transaction writes.
pub(super) struct Rows {
    pub pool_id: UserPoolId,
    pub at: OffsetDateTime,
    pub asserted: Vec<(StreamId, i64)>,
    pub log: Vec<LogRow>,
    /// What ends, and must not be named by anything then.
    pub unnamed: Vec<Unnamed>,
    /// The most objects of a kind that the pool may have after the commit.
    pub counted: Vec<(Counted, u32)>,
    pub models: Vec<ModelRow>,
    /// By kind of aggregate, in the order in which they are claimed.
    pub following: Vec<Following>,
    /// Users whose waiting invitation has become invalid.
    pub outdated_invitations: Vec<Sub>,
    /// Users whose password was replaced or removed: a code for a new one becomes invalid.
    pub changed_passwords: Vec<Sub>,
    pub activity: Vec<ActivityRow>,
    pub outbox: Vec<OutboxRow>,
    pub operational: Vec<OperationalRow>,
    pub answer: Option<AnswerRow>,
}

impl Rows {
    pub fn marker(&self) -> Option<Marker> {
        self.log.first().map(|row| Marker {
            pool_id: self.pool_id.clone(),
            stream: row.stream.clone(),
            version: row.version,
            event_id: row.event_id,
        })
    }

    /// The levels that have to be allowed before anything is written.
    pub fn needed(&self) -> impl Iterator<Item = Needed> {
        let events = self.log.iter().map(|row| Needed { kind: row.kind, level: row.level });
        events.chain(self.activity.iter().map(ActivityRow::needed))
    }
}

pub(super) fn prepare(commit: Commit, master: &MasterKeys, random: &Random) -> Result<Rows, StoreError> {
    let Commit { changes, activity, messages, notices, answer, .. } = commit;
    let rows = Rows {
        pool_id: commit.pool_id,
        at: to_database(commit.at),
        asserted: commit.asserted,
        log: Vec::new(),
        unnamed: commit.unnamed,
        counted: commit.counted,
        models: Vec::new(),
        following: Vec::new(),
        outdated_invitations: Vec::new(),
        changed_passwords: Vec::new(),
        activity: Vec::new(),
        outbox: Vec::new(),
        operational: commit.operational,
        answer: None,
    };
    let (at, origin, keys, name_rules) = (commit.at, &commit.origin, &commit.keys, &commit.name_rules);
    let mut builder = Builder { random, at, origin, keys, name_rules, pool_ends: false, living_key: None, rows };
    for change in changes {
        change.prepare(&mut builder)?;
    }
    for (sub, key, fact) in activity {
        builder.fact(sub, key.as_deref(), &fact)?;
    }
    for (sub, key, message) in messages {
        builder.message(sub, &key, &message)?;
    }
    for (sub, key, notice) in notices {
        builder.notice(sub, &key, &notice)?;
    }
    if let Some(answer) = answer {
        builder.answer(&answer, master)?;
    }
    builder.replace_passwords();
    builder.rows.sort();
    Ok(builder.rows)
}

/// The purpose and the end of the code that a message carries, if the same commit stores that code. After its end the
/// message is useless.
fn carried_code(rows: &[OperationalRow], sub: Sub, message: &Message) -> Option<(CodePurpose, Timestamp)> {
    message.code.as_ref()?;
    rows.iter().find_map(|row| match row {
        OperationalRow::Code { sub: owner, purpose, kept: Kept::ForUser, code, .. }
            if *owner == sub && code.attribute == message.medium.attribute() =>
        {
            Some((*purpose, code.expires_at))
        }
        _ => None,
    })
}

/// Whether a commit itself changes a user's code for a new password.
fn settles_password_code(rows: &[OperationalRow], of: Sub) -> bool {
    rows.iter().any(|row| {
        matches!(row,
            OperationalRow::Code { sub, purpose: CodePurpose::ForgotPassword, kept: Kept::ForUser, .. }
            | OperationalRow::CodeTried { sub, purpose: CodePurpose::ForgotPassword, kept: Kept::ForUser, .. } if *sub == of)
    })
}

/// The column `kind` of a message. An invitation carries no code but a temporary password.
fn kind(message: &Message, carries_code: bool) -> &'static str {
    if message.code.is_some() && !carries_code { outbox::INVITATION } else { outbox::MESSAGE }
}

/// The changes of one stream, independent of its aggregate.
pub(super) trait Pending: std::fmt::Debug + Send + Sync {
    /// Whether there are none: only the version of the stream is asserted.
    fn is_empty(&self) -> bool;

    /// Adds the rows of the changes to the builder.
    fn prepare(self: Box<Self>, builder: &mut Builder<'_>) -> Result<(), StoreError>;
}

impl<A: Modelled> Pending for Change<A> {
    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn prepare(self: Box<Self>, builder: &mut Builder<'_>) -> Result<(), StoreError> {
        let key = self.key.clone().filter(|_| self.own);
        let lives = if self.events.is_empty() {
            builder.rows.asserted.push((self.stream, self.version));
            true
        } else {
            builder.change(*self)?
        };
        builder.pool_ends |= A::MODEL.is_of::<UserPool>() && !lives;
        builder.living_key = builder.living_key.take().or(key.filter(|_| lives));
        Ok(())
    }
}

/// Builds the rows of a commit.
pub(super) struct Builder<'a> {
    random: &'a Random,
    at: Timestamp,
    origin: &'a Origin,
    keys: &'a PoolKeys,
    name_rules: &'a NameRules,
    /// Whether the pool is deleted, so that nothing can be sealed under its keys any more.
    pool_ends: bool,
    /// The key of the user whom the commit is about, if the user is not deleted.
    living_key: Option<Arc<DataKey>>,
    rows: Rows,
}

impl Rows {
    fn following(&mut self, model: &'static Model) -> &mut Following {
        let index = self.following.iter().position(|following| following.model == model).unwrap_or_else(|| {
            self.following.push(Following::of(model));
            self.following.len() - 1
        });
        // The index was found, or added above.
        &mut self.following[index]
    }

    /// Sorts all rows into the fixed order of writing.
    fn sort(&mut self) {
        self.log.sort_by(|one, other| (&one.stream, one.version).cmp(&(&other.stream, other.version)));
        self.asserted.sort();
        self.models.sort_by(|one, other| one.stream.cmp(&other.stream));
        let order = |following: &Following| MODELS.iter().position(|model| *model == following.model);
        self.following.sort_by_key(order);
        self.following.iter_mut().for_each(Following::sort);
    }
}

impl Following {
    fn of(model: &'static Model) -> Self {
        Self {
            model,
            begun: Vec::new(),
            ended: Vec::new(),
            released: Vec::new(),
            claimed: Vec::new(),
            left: Vec::new(),
            joined: Vec::new(),
            forgotten: Vec::new(),
            searchable: Vec::new(),
        }
    }

    fn add(&mut self, id: &str, before: &Derived, after: &Derived) {
        self.released.extend(differing(id, &before.names, &after.names));
        self.claimed.extend(differing(id, &after.names, &before.names));
        self.left.extend(differing(id, &before.children, &after.children));
        self.joined.extend(differing(id, &after.children, &before.children));
        self.forgotten.extend(differing(id, &before.search, &after.search));
        self.searchable.extend(differing(id, &after.search, &before.search));
    }

    fn sort(&mut self) {
        self.released.sort();
        self.claimed.sort();
        self.left.sort();
        self.joined.sort();
        self.forgotten.sort();
        self.searchable.sort();
    }
}

/// The elements of one set that another set lacks, each with the id of its aggregate.
fn differing<T: Ord + Clone>(id: &str, of: &BTreeSet<T>, without: &BTreeSet<T>) -> Vec<(T, String)> {
    of.difference(without).map(|value| (value.clone(), id.to_owned())).collect()
}

impl Builder<'_> {
    /// Adds the rows of one stream. Returns whether its aggregate still exists.
    fn change<A: Modelled>(&mut self, change: Change<A>) -> Result<bool, StoreError> {
        let Change { stream, before, version, events, key, own } = change;
        for (index, event) in (1_i64..).zip(&events) {
            self.log_row(&stream, version + index, event, key.as_ref(), own)?;
        }
        let after = replay(before.clone(), &stream, events.iter().map(|event| (event, self.at)));
        if A::MODEL.is_of::<User>() && after.is_none() {
            self.rows.unnamed.extend(stream.owner().parse().ok().map(|sub| Unnamed::user(Sub(sub))));
        }
        // A stream of another form belongs to no such aggregate and has no row.
        if Model::of_stream(&stream) == Some(A::MODEL) {
            self.follow(&stream, before.as_ref(), after.as_ref());
            let state = after.as_ref().map(serde_json::to_value).transpose().map_err(StoreError::Unwritable)?;
            let version = version + events.len() as i64;
            self.rows.models.push(ModelRow { stream, model: A::MODEL, version, revision: A::REVISION, state });
        }
        Ok(after.is_some())
    }

    /// Adds the rows that are derived from the state.
    fn follow<A: Modelled>(&mut self, stream: &StreamId, before: Option<&A>, after: Option<&A>) {
        let derived = |state: Option<&A>| state.map(|state| state.derived(self.name_rules)).unwrap_or_default();
        let (old, new) = (derived(before), derived(after));
        let following = self.rows.following(A::MODEL);
        following.add(stream.owner(), &old, &new);
        match (before, after) {
            (None, Some(_)) => following.begun.push(stream.owner().to_owned()),
            (Some(_), None) => following.ended.push(stream.owner().to_owned()),
            _ => {}
        }
        let Consequences { password_replaced, invitation_outdated } = A::consequences(before, after);
        if let Ok(owner) = stream.owner().parse() {
            self.rows.changed_passwords.extend(password_replaced.then_some(Sub(owner)));
            self.rows.outdated_invitations.extend(invitation_outdated.then_some(Sub(owner)));
        }
    }

    fn fact(&mut self, sub: Sub, key: Option<&DataKey>, fact: &user_activity::Activity) -> Result<(), StoreError> {
        let (pool, owner, key) = (&self.rows.pool_id, &*sub.to_string(), Some(key.unwrap_or(&self.keys.audit)));
        let new = NewFact { pool, owner, origin: self.origin, key, fact, at: self.at };
        self.rows.activity.push(activity_row(&new, self.random)?);
        Ok(())
    }

    fn message(&mut self, sub: Sub, key: &DataKey, message: &Message) -> Result<(), StoreError> {
        let id = self.random.event_id(self.at);
        let place = Place { pool: &self.rows.pool_id, stream: &StreamId::user(sub), class: FieldClass::Message };
        let text = serde_json::to_vec(message).map_err(StoreError::Unwritable)?;
        let sealed = key.seal(place, self.random.uuid(), &text);
        let carried = carried_code(&self.rows.operational, sub, message);
        let longest = self.at.plus_seconds(LONGEST_LIFE_SECONDS);
        self.rows.outbox.push(OutboxRow {
            id,
            owner: sub.to_string(),
            kind: kind(message, carried.is_some()),
            sealed,
            medium: message.medium.name(),
            purpose: carried.map(|(purpose, _)| purpose.as_str_name()),
            expires_at: to_database(carried.map_or(longest, |(_, expires_at)| expires_at)),
            traceparent: self.origin.trace_context.map(|context| context.to_string()),
        });
        Ok(())
    }

    fn notice(&mut self, sub: Sub, key: &DataKey, notice: &Notice) -> Result<(), StoreError> {
        let place = Place { pool: &self.rows.pool_id, stream: &StreamId::user(sub), class: FieldClass::Notice };
        let text = serde_json::to_vec(notice).map_err(StoreError::Unwritable)?;
        self.rows.outbox.push(OutboxRow {
            id: self.random.event_id(self.at),
            owner: sub.to_string(),
            kind: outbox::NOTICE_KIND,
            sealed: key.seal(place, self.random.uuid(), &text),
            medium: outbox::NOTICE,
            purpose: None,
            expires_at: to_database(self.at.plus_seconds(LONGEST_LIFE_SECONDS)),
            traceparent: self.origin.trace_context.map(|context| context.to_string()),
        });
        Ok(())
    }

    fn answer(&mut self, answer: &[u8], master: &MasterKeys) -> Result<(), StoreError> {
        let Some(command) = &self.origin.command else { return Ok(()) };
        let sealer = match &self.living_key {
            _ if self.pool_ends => Sealer::Master(master),
            Some(key) => Sealer::Data(key),
            None => Sealer::Data(&self.keys.pool),
        };
        self.rows.answer = Some(command.row(&self.rows.pool_id, sealer, answer, self.at, self.random)?);
        Ok(())
    }

    fn replace_passwords(&mut self) {
        let replaced = self.rows.changed_passwords.iter().map(|sub| {
            let voids_code = !settles_password_code(&self.rows.operational, *sub);
            OperationalRow::PasswordReplaced { sub: *sub, voids_code }
        });
        let replaced: Vec<_> = replaced.collect();
        self.rows.operational.extend(replaced);
    }

    fn log_row<Event: EventPayload>(
        &mut self,
        stream: &StreamId,
        version: i64,
        event: &Event,
        key: Option<&Arc<DataKey>>,
        own: bool,
    ) -> Result<(), StoreError> {
        let pool_id = &self.rows.pool_id;
        let mut payload = event.to_json().map_err(StoreError::Unwritable)?;
        let level = event.event_type().level(&payload);
        if let Some(key) = key {
            seal_personal(&mut payload, key, pool_id, stream, self.random.uuid());
        }
        // The user's own address is sealed under the user's key; an address of anybody else, under the pool's.
        let own = key.filter(|_| own && is_own(&self.origin.actor));
        let address = self
            .origin
            .address
            .map(|address| seal_address(address, pool_id, stream, own.unwrap_or(&self.keys.audit), self.random));
        let metadata = serde_json::to_value(Metadata::new(self.origin, address)).map_err(StoreError::Unwritable)?;
        event_size::check(event.type_name(), &payload, &metadata)?;
        let event_id = self.random.event_id(self.at);
        self.rows.log.push(LogRow {
            stream: stream.clone(),
            version,
            event_id,
            kind: event.type_name(),
            level,
            payload,
            metadata,
        });
        Ok(())
    }
}

fn is_own(actor: &Actor) -> bool {
    matches!(actor.kind, ActorKind::User | ActorKind::AppClient)
}

fn seal_address(address: IpAddr, pool: &UserPoolId, stream: &StreamId, key: &DataKey, random: &Random) -> Sealed {
    let place = Place { pool, stream, class: FieldClass::CallerAddress };
    key.seal(place, random.uuid(), address.to_string().as_bytes())
}

/// The stream that facts about an owner are sealed for.
fn address_of(owner: &str) -> StreamId {
    StreamId::new(format!("activity/{owner}"))
}

/// A fact that becomes a row.
pub(crate) struct NewFact<'a, Activity> {
    /// The pool that it is about.
    pub pool: &'a UserPoolId,
    /// The id of the user or service account that it is about.
    pub owner: &'a str,
    pub origin: &'a Origin,
    /// Seals the caller's address, which is not stored without a key.
    pub key: Option<&'a DataKey>,
    pub fact: &'a Activity,
    pub at: Timestamp,
}

/// A fact as a row. Before the row is written, its level has to be allowed.
pub(super) fn activity_row<Activity: EventPayload>(
    new: &NewFact<'_, Activity>,
    random: &Random,
) -> Result<ActivityRow, StoreError> {
    let NewFact { pool, owner, origin, key, fact, at } = *new;
    let address = origin.address.zip(key);
    let address = address.map(|(address, key)| seal_address(address, pool, &address_of(owner), key, random));
    let payload = fact.to_json().map_err(StoreError::Unwritable)?;
    let metadata = serde_json::to_value(Metadata::new(origin, address)).map_err(StoreError::Unwritable)?;
    event_size::check(fact.type_name(), &payload, &metadata)?;
    Ok(ActivityRow {
        event_id: random.event_id(at),
        owner: owner.to_owned(),
        kind: fact.type_name(),
        level: fact.event_type().level(&payload),
        schema_version: SCHEMA_VERSION,
        payload,
        metadata,
        at: to_database(at),
    })
}
