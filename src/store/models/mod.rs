//! Each aggregate described once: its read model, what follows from its states besides, and what its end drops.
//!
//! Commits, replay, rebuild, verify, purge, fill and erasure go through the descriptions: a new aggregate is a file here and a
//! line in [`MODELS`]. Names of tables and columns stand in the descriptions only; statements are made of them.

pub mod app_client;
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
use crate::domain::error::{Error, Exception};
use crate::domain::group::Group;
use crate::domain::ids::StreamId;
use crate::domain::user::User;
use crate::domain::user::search::SearchEntry;
use crate::domain::user_pool::{NameRules, UserPool};
use crate::store::history::HistoryError;
use crate::store::models::replayed::{Replayed, StreamRows};

/// The aggregates. Whatever locks their tables takes them in this order: [`Model::in_lock_order`].
pub static MODELS: [&Model; 4] = [UserPool::MODEL, AppClient::MODEL, User::MODEL, Group::MODEL];

/// An aggregate of which the store keeps a read model.
pub trait Modelled: Aggregate + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its description.
    const MODEL: &'static Model;

    /// Its stream.
    fn stream(&self) -> StreamId;

    /// What follows from a state besides its own row.
    fn derived(&self, _rules: &NameRules) -> Derived {
        Derived::default()
    }

    /// What a change means beyond its rows.
    fn consequences(_before: Option<&Self>, _after: Option<&Self>) -> Consequences {
        Consequences::default()
    }
}

/// The id of an aggregate.
pub trait Identifies {
    /// Which aggregate.
    type Aggregate: Modelled;

    /// The stream of the one with this id.
    fn stream(&self) -> StreamId;
}

/// How the store keeps an aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its kind: the first part of its streams, which are `<kind>/<id>`, or the stream itself where a pool has one of it.
    pub kind: &'static str,
    /// The table of its read model: pool, key, version, revision, state.
    pub table: &'static str,
    /// The column that tells its rows of a pool apart.
    pub key: Key,
    /// The names that it claims in its pool.
    pub claims: Option<Claims>,
    /// Where its pool is found by its id.
    pub directory: Option<Directory>,
    /// What it names of another aggregate.
    pub children: Option<Children>,
    /// What it is found by in lists.
    pub search: Option<Search>,
    /// Whether its row is held by whoever asserts it, so that it can't end before that commit is done.
    pub is_held: bool,
    /// Whether each has a data key of its own, which seals what is personal.
    pub has_key: bool,
    /// How many of it a pool may have.
    pub bound: Option<Bound>,
    /// What its end drops besides what follows from its state.
    pub end: End,
    /// What migrations have left to be filled.
    pub fills: &'static [Fill],
    /// What its events yield.
    pub(in crate::store) replay: fn(StreamRows<'_>) -> Result<Replayed, HistoryError>,
    /// What follows from a state that is read from its row.
    pub(in crate::store) derive: fn(Value, &NameRules) -> serde_json::Result<Derived>,
}

/// The column of an aggregate's id. Ids come as texts, from the names of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// None: a pool has one.
    Pool,
    /// A text.
    Text(&'static str),
    /// A UUID.
    Uuid(&'static str),
}

/// Names in a pool that one at a time has: a table of pool, name and the one whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    /// The table.
    pub table: &'static str,
    /// The column of whose it is.
    pub owner: Key,
    /// The constraint that a second claim violates.
    pub constraint: &'static str,
}

/// Ids that are unique across pools: a table of id and pool.
#[derive(Clone, Copy, Debug)]
pub struct Directory {
    /// The table.
    pub table: &'static str,
    /// The column of the id.
    pub id: &'static str,
    /// The constraint that a second one of the id violates.
    pub constraint: &'static str,
    /// What it is called where it is found to be wrong.
    pub name: &'static str,
}

/// What an aggregate names of another one, as rows: a table of pool, the other, and whose they are.
#[derive(Clone, Copy, Debug)]
pub struct Children {
    /// The table.
    pub table: &'static str,
    /// The column of the other one's id, a UUID.
    pub other: &'static str,
    /// The column of whose they are.
    pub owner: Key,
    /// What is wrong where a row is missing.
    pub missing: fn(Uuid) -> String,
    /// What is wrong where there is a row too many.
    pub superfluous: fn(Uuid) -> String,
}

/// What an aggregate is found by in lists: a table of pool, attribute, value, and whose they are. It has no index by the latter.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The table.
    pub table: &'static str,
    /// The column of whose they are.
    pub owner: Key,
}

/// How many a pool may have, counted by rows of a table.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// What commits call it.
    pub counted: Counted,
    /// Its name in the database's refusal.
    pub name: &'static str,
    /// The table.
    pub table: &'static str,
    /// What the caller reads who would be one too many.
    pub refusal: &'static str,
}

/// What the end of one drops besides what follows from its state.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Its row.
    Row,
    /// Its row, its data key and every operational row that names it as a user.
    User,
    /// Its row, and what these statements say of its pool.
    With(&'static [&'static str]),
}

/// What a migration has left to be filled, under the name in `unfilled_read_models`.
#[derive(Clone, Copy, Debug)]
pub struct Fill {
    /// The name.
    pub name: &'static str,
    /// What.
    pub what: Filled,
}

/// What can be filled from the rows of read models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// What they are found by.
    Search,
    /// The names that they claim.
    Claims,
}

/// What a pool may have so many of, each in a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// Groups.
    Groups,
    /// App clients.
    Clients,
}

/// What follows from a state besides its own row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// The names that it claims.
    pub names: BTreeSet<String>,
    /// What it names of another aggregate, by id.
    pub children: BTreeSet<Uuid>,
    /// What it is found by.
    pub search: BTreeSet<SearchEntry>,
}

/// What a change means beyond its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// There is another password than before, or none: a code to choose another is of no use any more.
    pub password_replaced: bool,
    /// An invitation lets nobody in any more.
    pub invitation_outdated: bool,
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Model {
    /// A read model and nothing besides.
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

    /// What a stream is about, if this release knows it.
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

    /// The same tables, those of an aggregate together.
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

    /// Its own tables.
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

/// Whether a constraint of this name keeps claims or ids apart.
pub(super) fn is_claim(constraint: &str) -> bool {
    let constraints = MODELS.iter().flat_map(|model| {
        [model.claims.map(|claims| claims.constraint), model.directory.map(|directory| directory.constraint)]
    });
    constraints.flatten().any(|known| known == constraint)
}

impl Counted {
    /// How many there may be, and how they are counted.
    pub(super) fn bound(self) -> Bound {
        match self {
            Self::Groups => group::BOUND,
            Self::Clients => app_client::BOUND,
        }
    }

    /// What has this name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        MODELS.iter().filter_map(|model| model.bound).find(|bound| bound.name == name).map(|bound| bound.counted)
    }

    /// What the caller reads who would be one too many.
    pub(super) fn refusal(self) -> Error {
        Error::new(Exception::LimitExceededException, self.bound().refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_of_the_aggregate_whose_kind_and_form_it_has() {
        let sub = Uuid::nil();
        for (stream, kind) in [
            ("pool".to_owned(), Some("pool")),
            ("clients/any".to_owned(), Some("clients")),
            (format!("groups/{sub}"), Some("groups")),
            (format!("users/{sub}"), Some("users")),
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
            "memberships",
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
    fn what_is_counted_has_one_bound_and_is_known_by_the_name_in_it() {
        for counted in [Counted::Groups, Counted::Clients] {
            let bound = counted.bound();
            assert_eq!(bound.counted, counted);
            assert_eq!(Counted::by_name(bound.name), Some(counted));
            assert_eq!(counted.refusal().message, bound.refusal);
        }
        assert_eq!(Counted::by_name("planets"), None);
    }
}
