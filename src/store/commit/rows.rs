//! From decisions to rows: sealing, applying, encoding. No database here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Change, Commit, Counted, Kept, Marker, OperationalRow};
use crate::domain::app_client::AppClient;
use crate::domain::decision::{Aggregate, replay};
use crate::domain::group::Group;
use crate::domain::ids::{ClientId, GroupId, StreamId, Sub, UserPoolId};
use crate::domain::message::Message;
use crate::domain::personal::Sealed;
use crate::domain::time::Timestamp;
use crate::domain::user::search::SearchEntry;
use crate::domain::user::{User, UserStatus};
use crate::domain::user_pool::{NameRules, UserPool};
use crate::environment::Random;
use crate::proto::EventPayload;
use crate::proto::events::CodePurpose;
use crate::store::answers::{AnswerRow, Sealer};
use crate::store::error::StoreError;
use crate::store::event_size;
use crate::store::history::{SCHEMA_VERSION, seal_personal};
use crate::store::keys::MasterKeys;
use crate::store::metadata::{Actor, ActorKind, Metadata, Origin};
use crate::store::outbox::{self, LONGEST_LIFE_SECONDS};
use crate::store::seal::{DataKey, FieldClass, Place};
use crate::store::to_database;

/// A row of `log`.
pub(super) struct LogRow {
    pub stream: StreamId,
    pub version: i64,
    pub event_id: Uuid,
    pub kind: &'static str,
    pub payload: Value,
    pub metadata: Value,
}

/// A row of `activity`.
#[derive(Debug)]
pub(crate) struct ActivityRow {
    pub event_id: Uuid,
    pub owner: String,
    pub kind: &'static str,
    pub schema_version: i32,
    pub payload: Value,
    pub metadata: Value,
    pub at: OffsetDateTime,
}

/// A read-model row, or the end of one.
pub(super) struct ModelRow {
    pub stream: StreamId,
    pub table: ModelTable,
    pub version: i64,
    pub revision: i32,
    pub state: Option<Value>,
}

/// Which read model, and which row.
pub(super) enum ModelTable {
    Pools,
    Clients(ClientId),
    Groups(GroupId),
    Users(Sub),
}

/// A row of `outbox`.
pub(super) struct OutboxRow {
    pub id: Uuid,
    pub owner: String,
    pub kind: &'static str,
    pub sealed: Sealed,
    pub medium: &'static str,
    /// Which code it carries.
    pub purpose: Option<&'static str>,
    pub expires_at: OffsetDateTime,
}

/// Everything of a transaction, ready to be written.
pub(super) struct Rows {
    pub pool_id: UserPoolId,
    pub at: OffsetDateTime,
    pub asserted: Vec<(StreamId, i64)>,
    pub log: Vec<LogRow>,
    pub released: Vec<(String, Sub)>,
    pub claimed: Vec<(String, Sub)>,
    pub clients: Vec<ClientId>,
    pub ended_clients: Vec<ClientId>,
    /// Names of groups that begin.
    pub groups: Vec<(String, GroupId)>,
    /// Names of groups that end.
    pub ended_groups: Vec<(String, GroupId)>,
    /// Groups in which nobody may be when they end.
    pub empty_groups: Vec<GroupId>,
    /// How many of what the pool may have in the end.
    pub counted: Vec<(Counted, u32)>,
    pub models: Vec<ModelRow>,
    pub left: Vec<(GroupId, Sub)>,
    pub joined: Vec<(GroupId, Sub)>,
    pub forgotten: Vec<(SearchEntry, Sub)>,
    pub searchable: Vec<(SearchEntry, Sub)>,
    /// Users whose invitation lets nobody in any more.
    pub outdated_invitations: Vec<Sub>,
    /// Users who have another password than before, or none: a code to choose another is of no use any more.
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
}

/// What follows from a state besides its own row: names in its pool, memberships, what is searched for.
trait Claims {
    fn names(&self, _: &NameRules) -> BTreeSet<String> {
        BTreeSet::new()
    }
    fn groups(&self) -> BTreeSet<GroupId> {
        BTreeSet::new()
    }
    fn search_entries(&self, _: &NameRules) -> BTreeSet<SearchEntry> {
        BTreeSet::new()
    }
    /// Which password there is, however it is hashed.
    fn password(&self) -> Option<&Sealed> {
        None
    }
    /// The password that an invitation carries, if one is of use.
    fn invited_with(&self) -> Option<Option<&Sealed>> {
        None
    }
    fn table(stream: &StreamId) -> Option<ModelTable>;
}

impl Claims for UserPool {
    fn table(_: &StreamId) -> Option<ModelTable> {
        Some(ModelTable::Pools)
    }
}

impl Claims for AppClient {
    fn table(stream: &StreamId) -> Option<ModelTable> {
        Some(ModelTable::Clients(ClientId::new(stream.owner())))
    }
}

impl Claims for Group {
    fn table(stream: &StreamId) -> Option<ModelTable> {
        GroupId::parse(stream.owner()).map(ModelTable::Groups)
    }
}

impl Claims for User {
    fn names(&self, rules: &NameRules) -> BTreeSet<String> {
        Self::names(self, rules)
    }

    fn groups(&self) -> BTreeSet<GroupId> {
        self.groups.clone()
    }

    fn search_entries(&self, rules: &NameRules) -> BTreeSet<SearchEntry> {
        Self::search_entries(self, rules)
    }

    fn password(&self) -> Option<&Sealed> {
        self.password.as_ref().map(|password| &password.srp_verifier)
    }

    fn invited_with(&self) -> Option<Option<&Sealed>> {
        (self.status == UserStatus::ForceChangePassword).then_some(self.password())
    }

    fn table(stream: &StreamId) -> Option<ModelTable> {
        stream.owner().parse().ok().map(|sub| ModelTable::Users(Sub(sub)))
    }
}

pub(super) fn prepare(commit: Commit, master: &MasterKeys, random: &Random) -> Result<Rows, StoreError> {
    let mut builder = Builder {
        random,
        at: commit.at,
        origin: &commit.origin,
        audit: &commit.keys.audit,
        name_rules: &commit.name_rules,
        rows: Rows {
            pool_id: commit.pool_id.clone(),
            at: to_database(commit.at),
            asserted: commit.asserted,
            log: Vec::new(),
            released: Vec::new(),
            claimed: Vec::new(),
            clients: Vec::new(),
            ended_clients: Vec::new(),
            groups: Vec::new(),
            ended_groups: Vec::new(),
            empty_groups: commit.empty_groups,
            counted: commit.counted,
            models: Vec::new(),
            left: Vec::new(),
            joined: Vec::new(),
            forgotten: Vec::new(),
            searchable: Vec::new(),
            outdated_invitations: Vec::new(),
            changed_passwords: Vec::new(),
            activity: Vec::new(),
            outbox: Vec::new(),
            operational: commit.operational,
            answer: None,
        },
    };
    let mut pool_lives = true;
    for change in commit.pools {
        pool_lives &= builder.change(change)?.is_some();
    }
    for change in commit.clients {
        let (id, is_new) = (ClientId::new(change.stream.owner()), change.before.is_none());
        let lives = builder.change(change)?.is_some();
        match (is_new, lives) {
            (true, true) => builder.rows.clients.push(id),
            (false, false) => builder.rows.ended_clients.push(id),
            _ => {}
        }
    }
    for change in commit.groups {
        let before = change.before.as_ref().map(|group| (group.name.clone(), group.id));
        let after = builder.change(change)?.map(|group| (group.name, group.id));
        // The name of a group never changes.
        match (before, after) {
            (None, Some(begun)) => builder.rows.groups.push(begun),
            (Some(ended), None) => builder.rows.ended_groups.push(ended),
            _ => {}
        }
    }
    let mut living_user = None;
    for change in commit.users {
        let key = change.key.clone();
        let lives = if change.events.is_empty() {
            builder.rows.asserted.push((change.stream, change.version));
            true
        } else {
            builder.change(change)?.is_some()
        };
        living_user = living_user.or(key.filter(|_| lives));
    }
    for (sub, key, fact) in commit.activity {
        let row = activity_row(
            &commit.pool_id,
            &sub.to_string(),
            &commit.origin,
            Some(key.as_deref().unwrap_or(&commit.keys.audit)),
            &fact,
            commit.at,
            random,
        )?;
        builder.rows.activity.push(row);
    }
    for (sub, key, message) in commit.messages {
        let id = random.event_id(commit.at);
        let place = Place { pool: &commit.pool_id, stream: &StreamId::user(sub), class: FieldClass::Message };
        let text = serde_json::to_vec(&message).map_err(StoreError::Unwritable)?;
        let sealed = key.seal(place, random.uuid(), &text);
        let carried = carried_code(&builder.rows.operational, sub, &message);
        let longest = commit.at.plus_seconds(LONGEST_LIFE_SECONDS);
        builder.rows.outbox.push(OutboxRow {
            id,
            owner: sub.to_string(),
            kind: kind(&message, carried.is_some()),
            sealed,
            medium: message.medium.name(),
            purpose: carried.map(|(purpose, _)| purpose.as_str_name()),
            expires_at: to_database(carried.map_or(longest, |(_, expires_at)| expires_at)),
        });
    }
    let mut rows = builder.rows;
    if let Some((answer, command)) = commit.answer.zip(commit.origin.command.as_ref()) {
        let sealer = match &living_user {
            _ if !pool_lives => Sealer::Master(master),
            Some(user) => Sealer::Data(user),
            None => Sealer::Data(&commit.keys.pool),
        };
        rows.answer = Some(command.row(&commit.pool_id, sealer, &answer, commit.at, random)?);
    }
    let replaced = rows.changed_passwords.iter().map(|sub| {
        let voids_code = !settles_password_code(&rows.operational, *sub);
        OperationalRow::PasswordReplaced { sub: *sub, voids_code }
    });
    let replaced: Vec<_> = replaced.collect();
    rows.operational.extend(replaced);
    rows.log.sort_by(|one, other| (&one.stream, one.version).cmp(&(&other.stream, other.version)));
    rows.asserted.sort();
    rows.models.sort_by(|one, other| one.stream.cmp(&other.stream));
    rows.released.sort();
    rows.claimed.sort();
    rows.left.sort();
    rows.joined.sort();
    rows.forgotten.sort();
    rows.searchable.sort();
    Ok(rows)
}

/// The code that a message carries, where the same commit keeps it: what it is for, and its end. After that the message is
/// of no use.
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

/// Whether a commit says itself what becomes of a user's code for another password.
fn settles_password_code(rows: &[OperationalRow], of: Sub) -> bool {
    rows.iter().any(|row| {
        matches!(row,
            OperationalRow::Code { sub, purpose: CodePurpose::ForgotPassword, kept: Kept::ForUser, .. }
            | OperationalRow::CodeTried { sub, purpose: CodePurpose::ForgotPassword, kept: Kept::ForUser, .. } if *sub == of)
    })
}

/// What a message is for whoever writes the outbox: an invitation carries a code that is none of the table, a password.
fn kind(message: &Message, carries_code: bool) -> &'static str {
    if message.code.is_some() && !carries_code { outbox::INVITATION } else { outbox::MESSAGE }
}

struct Builder<'a> {
    random: &'a Random,
    at: Timestamp,
    origin: &'a Origin,
    audit: &'a Arc<DataKey>,
    name_rules: &'a NameRules,
    rows: Rows,
}

impl Builder<'_> {
    /// Adds the rows of one stream. Answers what it is about, if that still exists.
    fn change<A: Aggregate + Claims + serde::Serialize>(
        &mut self,
        change: Change<A, A::Event>,
    ) -> Result<Option<A>, StoreError> {
        let Change { stream, before, version, events, key, own } = change;
        for (index, event) in (1_i64..).zip(&events) {
            self.log_row(&stream, version + index, event, key.as_ref(), own)?;
        }
        let after = replay(before.clone(), &stream, events.iter().map(|event| (event, self.at)));
        let names = |state: Option<&A>| state.map(|state| state.names(self.name_rules)).unwrap_or_default();
        let (old, new) = (names(before.as_ref()), names(after.as_ref()));
        if let Ok(owner) = stream.owner().parse() {
            self.rows.released.extend(old.difference(&new).map(|name| (name.clone(), Sub(owner))));
            self.rows.claimed.extend(new.difference(&old).map(|name| (name.clone(), Sub(owner))));
            self.user_rows(before.as_ref(), after.as_ref(), Sub(owner));
        }
        if let Some(table) = A::table(&stream) {
            let state = after.as_ref().map(serde_json::to_value).transpose().map_err(StoreError::Unwritable)?;
            let version = version + events.len() as i64;
            self.rows.models.push(ModelRow { stream: stream.clone(), table, version, revision: A::REVISION, state });
        }
        Ok(after)
    }

    /// The rows beside that of a user itself: only what differs is written.
    fn user_rows<A: Claims>(&mut self, before: Option<&A>, after: Option<&A>, sub: Sub) {
        let groups = |state: Option<&A>| state.map(A::groups).unwrap_or_default();
        let (old, new) = (groups(before), groups(after));
        self.rows.left.extend(old.difference(&new).map(|group| (*group, sub)));
        self.rows.joined.extend(new.difference(&old).map(|group| (*group, sub)));
        let entries = |state: Option<&A>| state.map(|state| state.search_entries(self.name_rules)).unwrap_or_default();
        let (old, new) = (entries(before), entries(after));
        self.rows.forgotten.extend(old.difference(&new).map(|entry| (entry.clone(), sub)));
        self.rows.searchable.extend(new.difference(&old).map(|entry| (entry.clone(), sub)));
        if let (Some(before), Some(after)) = (before, after)
            && before.password() != after.password()
        {
            self.rows.changed_passwords.push(sub);
        }
        let invited = before.and_then(A::invited_with);
        // With a user who ends, all messages end.
        if invited.is_some() && after.is_some_and(|after| after.invited_with() != invited) {
            self.rows.outdated_invitations.push(sub);
        }
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
        if let Some(key) = key {
            seal_personal(&mut payload, key, pool_id, stream, self.random.uuid());
        }
        // A user's own address is sealed under the user's key, everybody else's under the pool's.
        let own = key.filter(|_| own && is_own(&self.origin.actor));
        let address = self
            .origin
            .address
            .map(|address| seal_address(address, pool_id, stream, own.unwrap_or(self.audit), self.random));
        let metadata = serde_json::to_value(Metadata::new(self.origin, address)).map_err(StoreError::Unwritable)?;
        event_size::check(event.type_name(), &payload, &metadata)?;
        let event_id = self.random.event_id(self.at);
        self.rows.log.push(LogRow {
            stream: stream.clone(),
            version,
            event_id,
            kind: event.type_name(),
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

/// The stream to which facts about an owner belong, for sealing.
fn address_of(owner: &str) -> StreamId {
    StreamId::new(format!("activity/{owner}"))
}

/// A fact as a row. Without a key the caller's address is not kept.
pub(crate) fn activity_row<Activity: EventPayload>(
    pool: &UserPoolId,
    owner: &str,
    origin: &Origin,
    key: Option<&DataKey>,
    fact: &Activity,
    at: Timestamp,
    random: &Random,
) -> Result<ActivityRow, StoreError> {
    let address = origin.address.zip(key);
    let address = address.map(|(address, key)| seal_address(address, pool, &address_of(owner), key, random));
    let payload = fact.to_json().map_err(StoreError::Unwritable)?;
    let metadata = serde_json::to_value(Metadata::new(origin, address)).map_err(StoreError::Unwritable)?;
    event_size::check(fact.type_name(), &payload, &metadata)?;
    Ok(ActivityRow {
        event_id: random.event_id(at),
        owner: owner.to_owned(),
        kind: fact.type_name(),
        schema_version: SCHEMA_VERSION,
        payload,
        metadata,
        at: to_database(at),
    })
}
