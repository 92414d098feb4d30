//! The description of each aggregate: its read model, its derived rows, and what its end deletes.
//!
//! Commits, replay, rebuild, verify, purge, fill and erasure use the descriptions: a new aggregate is a file here and a
//! line in [`MODELS`]. Names of tables and columns are only in the descriptions; statements are built from them.

pub mod app_client;
pub mod device;
pub mod group;
pub(in crate::store) mod replayed;
pub(in crate::store) mod search;
pub(in crate::store) mod statements;
pub mod tables;
pub mod user;
pub mod user_pool;

use std::collections::BTreeSet;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::decision::Aggregate;
use crate::domain::device::Device;
use crate::domain::error::{Error, Exception};
use crate::domain::group::Group;
use crate::domain::ids::StreamId;
use crate::domain::user::User;
use crate::domain::user::search::SearchEntry;
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::history::HistoryError;
use crate::store::models::replayed::{Replayed, StreamRows};

/// The aggregates. Code that locks all their tables uses the order of [`Model::in_lock_order`].
pub static MODELS: [&Model; 5] = [UserPool::MODEL, AppClient::MODEL, User::MODEL, Group::MODEL, Device::MODEL];

/// An aggregate with a read model.
pub trait Modelled: Aggregate + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The description of the aggregate.
    const MODEL: &'static Model;

    /// The stream that holds its events.
    fn stream(&self) -> StreamId;

    /// The rows that are derived from a state, beside its own row.
    fn derived(&self, _rules: &NameRules) -> Derived {
        Derived::default()
    }

    /// The effects of a change beyond its rows.
    fn consequences(_before: Option<&Self>, _after: Option<&Self>) -> Consequences {
        Consequences::default()
    }
}

/// The id of an aggregate, which names its stream.
pub trait Identifies {
    /// The aggregate that the id belongs to.
    type Aggregate: Modelled;

    /// The stream of the aggregate with this id.
    fn stream(&self) -> StreamId;
}

/// How the store keeps an aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// The first part of its streams, which are `<kind>/<id>`, or the whole stream if a pool has only one.
    pub kind: &'static str,
    /// The table of its read model, with the columns pool, key, version, revision and state.
    pub table: &'static str,
    /// The column that identifies its rows within a pool.
    pub key: Key,
    /// The names that it claims in its pool.
    pub claims: Option<Claims>,
    /// The table that finds its pool by its id.
    pub directory: Option<Directory>,
    /// The rows about other aggregates that it names, such as memberships.
    pub children: Option<Children>,
    /// The values by which lists find it.
    pub search: Option<Search>,
    /// Whether commits that assert its version lock its row, so that it can't be deleted before they are done.
    pub is_held: bool,
    /// Whether each one has a data key of its own, which seals personal values.
    pub has_key: bool,
    /// The limit on how many a pool may have.
    pub bound: Option<Bound>,
    /// What its end deletes, beside its derived rows.
    pub end: End,
    /// The fills that migrations have requested.
    pub fills: &'static [Fill],
    /// Replays the events of one stream.
    pub(in crate::store) replay: fn(StreamRows<'_>) -> Result<Replayed, HistoryError>,
    /// Derives the values of a state in a row.
    pub(in crate::store) derive: fn(Value, &NameRules) -> serde_json::Result<Derived>,
}

/// The key column of an aggregate. Ids come as text, from the names of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// No column: a pool has only one.
    Pool,
    /// A text column of this name.
    Text(&'static str),
    /// A UUID column of this name.
    Uuid(&'static str),
}

/// Names that only one aggregate of a pool can have: a table with the columns pool, name and owner.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Claims {
    pub table: &'static str,
    /// The column of the id that holds the name.
    pub owner: Key,
    /// The unique constraint of pool and name.
    pub constraint: &'static str,
}

/// Ids that are unique across pools: a table with the columns id and pool.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Directory {
    pub table: &'static str,
    pub id: &'static str,
    /// The unique constraint of the id.
    pub constraint: &'static str,
    /// The table's name in reports of `userpool log verify`.
    pub name: &'static str,
}

/// Rows about other aggregates that one names: a table with the columns pool, other id and owner.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Children {
    pub table: &'static str,
    /// The column of the other aggregate's id, a UUID.
    pub other: &'static str,
    /// The column of the id that names the other one.
    pub owner: Key,
    /// The report of a missing row.
    pub missing: fn(Uuid) -> String,
    /// The report of a superfluous row.
    pub superfluous: fn(Uuid) -> String,
}

/// Values by which lists find an aggregate: a table with the columns pool, attribute, value and owner, without an index
/// by owner.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Search {
    pub table: &'static str,
    /// The column of the id that has the value.
    pub owner: Key,
}

/// A limit on how many a pool may have, counted by the rows of a table.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The kind of object, for commits.
    pub counted: Counted,
    /// The name that the database's error contains.
    pub name: &'static str,
    /// The table whose rows are counted.
    pub table: &'static str,
    /// The message for a caller who reaches the limit.
    pub refusal: &'static str,
}

/// What the end of an aggregate deletes, beside its derived rows.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Only its own row.
    Row,
    /// Its row, its data key, and every operational row about it as a user.
    User,
    /// Its row, and what these statements do for its pool (`$1`) and its id (`$2`).
    With(&'static [&'static str]),
}

/// A fill that a migration has requested, by its name in `unfilled_read_models`.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// The name that the migration wrote.
    pub name: &'static str,
    /// The derived rows that are filled.
    pub what: Filled,
}

/// Derived rows that can be filled from the rows of read models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The values by which lists find it.
    Search,
    /// The names that it claims.
    Claims,
}

/// Objects of which a pool may have a limited number, each with a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Counted {
    Groups,
    Clients,
}

/// The values that are derived from a state, beside its own row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// The names that it claims in its pool.
    pub names: BTreeSet<String>,
    /// The ids of other aggregates that it names.
    pub children: BTreeSet<Uuid>,
    /// The values by which lists find it.
    pub search: BTreeSet<SearchEntry>,
}

/// The effects of a change beyond its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// The password was replaced or removed, so a code for a new one becomes invalid.
    pub password_replaced: bool,
    /// An invitation has become invalid.
    pub invitation_outdated: bool,
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Model {
    /// A model that has only a read model.
    pub const fn of<A: Modelled>(kind: &'static str, table: &'static str, key: Key) -> Self {
        Self {
            kind,
            table,
            key,
            claims: None,
            directory: None,
            children: None,
            search: None,
            is_held: false,
            has_key: false,
            bound: None,
            end: End::Row,
            fills: &[],
            replay: replayed::replay::<A>,
            derive: replayed::derive::<A>,
        }
    }

    /// The model of a stream's aggregate, if this release knows it.
    pub fn of_stream(stream: &StreamId) -> Option<&'static Self> {
        let (kind, id) = stream.as_str().split_once('/').unzip();
        let kind = kind.unwrap_or(stream.as_str());
        let fits = |model: &&&Self| {
            model.kind == kind
                && match model.key {
                    Key::Pool => id.is_none(),
                    Key::Text(_) => id.is_some(),
                    Key::Uuid(_) => id.is_some_and(|id| id.parse::<Uuid>().is_ok()),
                }
        };
        MODELS.iter().find(fits).copied()
    }

    /// Whether this is the model of an aggregate.
    pub fn is_of<A: Modelled>(&self) -> bool {
        self == A::MODEL
    }

    /// The tables of all read models, claims and directories, in the order in which the one read of a user takes its locks.
    pub fn in_lock_order() -> Vec<&'static str> {
        let own = |model: &&'static Self| [model.claims.map(|claims| claims.table), Some(model.table)];
        Self::shared_last(MODELS.iter().flat_map(own))
    }

    /// The same tables, grouped by aggregate.
    pub fn in_reading_order() -> Vec<&'static str> {
        let own = |model: &&'static Self| [Some(model.table), model.claims.map(|claims| claims.table)];
        Self::shared_last(MODELS.iter().flat_map(own))
    }

    fn shared_last(own: impl Iterator<Item = Option<&'static str>>) -> Vec<&'static str> {
        let children = MODELS.iter().map(|model| model.children.map(|children| children.table));
        let search = MODELS.iter().map(|model| model.search.map(|search| search.table));
        let directories = MODELS.iter().map(|model| model.directory.map(|directory| directory.table));
        own.chain(children).chain(search).chain(directories).flatten().collect()
    }

    /// The tables of this aggregate's own rows.
    pub fn tables(&self) -> impl Iterator<Item = &'static str> {
        let Self { table, claims, directory, children, search, .. } = *self;
        [
            Some(table),
            claims.map(|claims| claims.table),
            directory.map(|directory| directory.table),
            children.map(|children| children.table),
            search.map(|search| search.table),
        ]
        .into_iter()
        .flatten()
    }
}

/// Whether a constraint of this name makes claims or ids unique.
pub(super) fn is_claim(constraint: &str) -> bool {
    let constraints = MODELS.iter().flat_map(|model| {
        [model.claims.map(|claims| claims.constraint), model.directory.map(|directory| directory.constraint)]
    });
    constraints.flatten().any(|known| known == constraint)
}

impl Counted {
    /// The limit, and how it is counted.
    pub(super) fn bound(self) -> Bound {
        match self {
            Self::Groups => group::BOUND,
            Self::Clients => app_client::BOUND,
        }
    }

    /// The kind whose limit has this name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        MODELS.iter().filter_map(|model| model.bound).find(|bound| bound.name == name).map(|bound| bound.counted)
    }

    /// The refusal for a caller who reaches the limit.
    pub(super) fn refusal(self) -> Error {
        Error::new(Exception::LimitExceededException, self.bound().refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_belongs_to_the_aggregate_of_its_kind_and_form() {
        let sub = Uuid::nil();
        for (stream, kind) in [
            ("pool".to_owned(), Some("pool")),
            ("clients/any".to_owned(), Some("clients")),
            (format!("groups/{sub}"), Some("groups")),
            (format!("users/{sub}"), Some("users")),
            (format!("devices/{sub}"), Some("devices")),
            ("devices/any".to_owned(), None),
            ("pool/1".to_owned(), None),
            ("clients".to_owned(), None),
            ("groups/any".to_owned(), None),
            ("users/".to_owned(), None),
            ("planets/1".to_owned(), None),
        ] {
            assert_eq!(Model::of_stream(&StreamId::new(&*stream)).map(|model| model.kind), kind, "{stream}");
        }
    }

    #[test]
    fn tables_are_locked_as_the_one_read_of_a_user_locks_them() {
        let expected = [
            "pools",
            "clients",
            "names",
            "users",
            "group_names",
            "groups",
            "devices",
            "memberships",
            "user_devices",
            "user_search",
            "client_directory",
        ];
        assert_eq!(Model::in_lock_order(), expected);
        let all = |tables: &[&'static str]| tables.iter().copied().collect::<BTreeSet<_>>();
        let own: Vec<_> = MODELS.iter().flat_map(|model| model.tables()).collect();
        assert_eq!(own.len(), expected.len(), "no table is of two aggregates");
        assert_eq!(all(&own), all(&expected));
        assert_eq!(all(&Model::in_reading_order()), all(&expected));
    }

    #[test]
    fn each_limited_kind_has_one_bound_and_is_found_by_its_name() {
        for counted in [Counted::Groups, Counted::Clients] {
            let bound = counted.bound();
            assert_eq!(bound.counted, counted);
            assert_eq!(Counted::by_name(bound.name), Some(counted));
            assert_eq!(counted.refusal().message, bound.refusal);
        }
        assert_eq!(Counted::by_name("planets"), None);
    }
}
