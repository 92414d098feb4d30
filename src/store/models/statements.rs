//! The statements that are built from a description. All names in them come from descriptions; values are parameters,
//! and ids are texts.

use crate::store::models::tables::{self, UserColumn, delete_some};
use crate::store::models::{Bound, Children, Claims, Directory, End, Key, Model, Search};

/// The table that a statement writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The table that commands use. Rows that exist already are no error.
    Current,
    /// The table that a rebuild fills, and that then replaces the current one.
    Rebuilt,
}

impl Place {
    /// The name of this version of a table.
    pub fn of(self, table: &str) -> String {
        match self {
            Self::Current => table.to_owned(),
            Self::Rebuilt => format!("rebuilt_{table}"),
        }
    }

    fn on_conflict(self) -> &'static str {
        match self {
            Self::Current => " on conflict do nothing",
            Self::Rebuilt => "",
        }
    }
}

impl Key {
    /// The column's name, or a constant if there is no column.
    pub fn column(self) -> &'static str {
        match self {
            Self::Pool => "'pool'",
            Self::Text(column) | Self::Uuid(column) => column,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Pool | Self::Text(_) => "text",
            Self::Uuid(_) => "uuid",
        }
    }

    /// The condition that the column is the id in a parameter.
    fn is(self, parameter: &str) -> String {
        format!("{} = {}", self.column(), self.one(parameter))
    }

    /// The condition that the column is among the ids in a parameter.
    fn is_among(self, parameter: &str) -> String {
        format!("{} = any({})", self.column(), self.many(parameter))
    }

    fn one(self, parameter: &str) -> String {
        format!("{parameter}::{}", self.kind())
    }

    fn many(self, parameter: &str) -> String {
        format!("{parameter}::{}[]", self.kind())
    }
}

/// Statements about the model itself. `$1` is the pool unless stated otherwise.
impl Model {
    /// Fails unless a stream `$1` is at version `$2`; in pool `$3`, with id `$4`.
    pub fn assert_version(&self) -> String {
        let (table, is, held) = (self.table, self.key.is("$4"), if self.is_held { " for key share" } else { "" });
        format!("select assert_version($1, $2, (select version from {table} where user_pool_id = $3 and {is}{held}))")
    }

    /// Writes a row: `$2` version, `$3` revision, `$4` state, `$5` id.
    pub fn write(&self) -> String {
        let table = self.table;
        let (column, value) = match self.key {
            Key::Pool => (String::new(), String::new()),
            key => (format!(", {}", key.column()), format!(", {}", key.one("$5"))),
        };
        format!(
            "insert into {table} (user_pool_id{column}, version, revision, state) values ($1{value}, $2, $3, $4)
             on conflict (user_pool_id{column}) do update set version = $2, revision = $3, state = $4"
        )
    }

    /// Deletes the row of an id `$2`, and everything that ends with it.
    pub fn end(&self) -> Vec<String> {
        let mut statements =
            vec![format!("delete from {} where user_pool_id = $1 and {}", self.table, self.key.is("$2"))];
        match self.end {
            End::Row => {}
            End::User => statements.extend(tables::OPERATIONAL.iter().filter_map(|table| {
                let (is, besides) = match table.user? {
                    UserColumn::Sub => ("sub = $2::uuid", ""),
                    UserColumn::Owner(besides) => ("owner = $2", besides),
                };
                Some(format!("delete from {} where user_pool_id = $1 and {is}{besides}", table.name))
            })),
            End::With(besides) => statements.extend(besides.iter().map(|statement| (*statement).to_owned())),
        }
        statements
    }

    /// Inserts rows into a new table: `$2` ids, `$3` versions, `$4` revisions, `$5` states.
    pub fn insert_rebuilt(&self) -> String {
        let table = Place::Rebuilt.of(self.table);
        let (column, value) = match self.key {
            Key::Pool => (String::new(), String::new()),
            key => (format!(", {}", key.column()), format!(", {}", key.one("r.id"))),
        };
        format!(
            "insert into {table} (user_pool_id{column}, version, revision, state)
             select $1{value}, r.version, r.revision, r.state
             from unnest($2::text[], $3::bigint[], $4::integer[], $5::jsonb[]) as r (id, version, revision, state)"
        )
    }

    /// The states of ids `$2` in a new table: id and state.
    pub fn rebuilt_states(&self) -> String {
        let (table, column, among) = (Place::Rebuilt.of(self.table), self.key.column(), self.key.is_among("$2"));
        format!("select {column}::text, state from {table} where user_pool_id = $1 and {among}")
    }

    /// Deletes the rows of ids `$2` from the new tables that have an index by them.
    pub fn forget_rebuilt(&self) -> Vec<String> {
        let keyed = self.keyed().map(|(table, key)| {
            format!("delete from {} where user_pool_id = $1 and {}", Place::Rebuilt.of(table), key.is_among("$2"))
        });
        keyed.collect()
    }

    /// The rows of ids `$2`: id, version, revision, state.
    pub fn select(&self) -> String {
        let (table, column, among) = (self.table, self.key.column(), self.key.is_among("$2"));
        format!(
            "select {column}::text as id, version, revision, state from {table} where user_pool_id = $1 and {among}"
        )
    }

    /// For each table, the streams that its rows name but that have no event.
    pub fn without_stream(&self) -> Vec<(&'static str, String)> {
        let kind = self.kind;
        // A pool without events never existed.
        let keyed = self.keyed().filter(|(_, key)| *key != Key::Pool).map(|(table, key)| {
            let column = key.column();
            let statement = format!(
                "select distinct '{kind}/' || {column} from {table} t where user_pool_id = $1 and not exists
                 (select from log l where l.user_pool_id = t.user_pool_id and l.stream_id = '{kind}/' || t.{column})"
            );
            (table, statement)
        });
        keyed.collect()
    }

    /// The tables whose rows are found by its id, with the id's column.
    fn keyed(&self) -> impl Iterator<Item = (&'static str, Key)> {
        let claims = self.claims.map(|claims| (claims.table, claims.owner));
        let children = self.children.map(|children| (children.table, children.owner));
        let directory = self.directory.map(|directory| (directory.table, Key::Text(directory.id)));
        [Some((self.table, self.key)), claims, children, directory].into_iter().flatten()
    }

    /// The next `$3` rows after a pool `$1` and an id `$2`, locked against changes: pool, id, state. An empty id comes
    /// first.
    pub fn page(&self) -> String {
        let (table, column) = (self.table, self.key.column());
        let after = match self.key {
            Key::Pool | Key::Text(_) => "$2",
            Key::Uuid(_) => "coalesce(nullif($2, '')::uuid, '00000000-0000-0000-0000-000000000000')",
        };
        format!(
            "select user_pool_id, {column}::text, state from {table} where (user_pool_id, {column}) > ($1, {after})
             order by user_pool_id, {column} limit $3 for share"
        )
    }

    /// Deletes `$2` rows of a deleted pool, for each of its tables. The pool's own row was deleted with the pool.
    pub fn purge(&self) -> Vec<String> {
        let pool = "user_pool_id";
        let own = (self.key != Key::Pool).then(|| (self.table, vec![pool, self.key.column()]));
        let claims = self.claims.map(|claims| (claims.table, vec![pool, "name"]));
        let children = self.children.map(|it| (it.table, vec![pool, it.other, it.owner.column()]));
        let search = self.search.map(|it| (it.table, vec![pool, "attribute", "value", it.owner.column()]));
        let directory = self.directory.map(|directory| (directory.table, vec![directory.id]));
        let tables = [claims, search, children, own, directory].into_iter().flatten();
        tables.map(|(table, key)| delete_some(table, &key, "user_pool_id = $1")).collect()
    }
}

impl Claims {
    /// Claims names `$2` for ids `$3`, and leaves out taken ones. A violated constraint would write the name into the
    /// database's own log.
    pub fn claim(&self, place: Place) -> String {
        let (table, owner, owners) = (place.of(self.table), self.owner.column(), self.owner.many("$3"));
        format!(
            "insert into {table} (user_pool_id, name, {owner})
             select $1, name, {owner} from unnest($2::text[], {owners}) as c (name, {owner}) on conflict do nothing"
        )
    }

    /// Releases the name `$2` of the id `$3`.
    pub fn release(&self) -> String {
        format!("delete from {} where user_pool_id = $1 and name = $2 and {}", self.table, self.owner.is("$3"))
    }

    /// The names that ids `$2` hold: id and name.
    pub fn select(&self) -> String {
        let (table, owner, among) = (self.table, self.owner.column(), self.owner.is_among("$2"));
        format!("select {owner}::text, name from {table} where user_pool_id = $1 and {among}")
    }

    /// Claims names `$2` for ids `$3` that do not hold them yet. Returns the ids whose name is taken.
    pub fn fill(&self) -> String {
        let (table, owner, owners) = (self.table, self.owner.column(), self.owner.many("$3"));
        format!(
            "with wanted as (select * from unnest($2::text[], {owners}) as w (name, {owner})),
                  claimed as (insert into {table} (user_pool_id, name, {owner}) select $1, name, {owner} from wanted
                              on conflict do nothing returning name, {owner})
             select distinct w.{owner}::text from wanted w
             left join {table} n on n.user_pool_id = $1 and n.name = w.name
             left join claimed c on c.name = w.name
             where coalesce(n.{owner}, c.{owner}) is distinct from w.{owner}"
        )
    }
}

impl Directory {
    /// Adds ids `$2` to the directory.
    pub fn enter(&self, place: Place) -> String {
        let (table, id) = (place.of(self.table), self.id);
        format!("insert into {table} ({id}, user_pool_id) select unnest($2::text[]), $1")
    }

    /// Removes an id `$2`.
    pub fn leave(&self) -> String {
        format!("delete from {} where user_pool_id = $1 and {} = $2", self.table, self.id)
    }

    /// Which of the ids `$2` are in the directory.
    pub fn select(&self) -> String {
        format!("select {id} from {} where user_pool_id = $1 and {id} = any($2)", self.table, id = self.id)
    }
}

impl Children {
    /// Inserts the other ids `$2` of ids `$3`.
    pub fn enter(&self, place: Place) -> String {
        let Self { other, .. } = self;
        let (table, owner, owners) = (place.of(self.table), self.owner.column(), self.owner.many("$3"));
        let on_conflict = place.on_conflict();
        format!(
            "insert into {table} (user_pool_id, {other}, {owner})
             select $1, {other}, {owner} from unnest($2::uuid[], {owners}) as j ({other}, {owner}){on_conflict}"
        )
    }

    /// Deletes the other ids `$2` of ids `$3`.
    pub fn leave(&self) -> String {
        let Self { table, other, .. } = self;
        let (owner, owners) = (self.owner.column(), self.owner.many("$3"));
        format!(
            "delete from {table} m using unnest($2::uuid[], {owners}) as l ({other}, {owner})
             where m.user_pool_id = $1 and m.{other} = l.{other} and m.{owner} = l.{owner}"
        )
    }

    /// The rows of ids `$2`: id and other id.
    pub fn select(&self) -> String {
        let (table, owner, among) = (self.table, self.owner.column(), self.owner.is_among("$2"));
        format!("select {owner}::text, {} from {table} where user_pool_id = $1 and {among}", self.other)
    }

    /// Fails if any row names the other id `$3` in pool `$2`; `$1` names the assertion.
    pub fn assert_none(&self) -> String {
        let Self { table, other, .. } = self;
        format!(
            "select assert_version($1, 0, (select count(*) from
             (select from {table} where user_pool_id = $2 and {other} = $3 limit 1) as child))"
        )
    }
}

impl Search {
    /// Inserts attributes `$2` with values `$3` of ids `$4`.
    pub fn enter(&self, place: Place) -> String {
        let (table, owner, owners) = (place.of(self.table), self.owner.column(), self.owner.many("$4"));
        let on_conflict = place.on_conflict();
        format!(
            "insert into {table} (user_pool_id, attribute, value, {owner})
             select $1, attribute, value, {owner}
             from unnest($2::text[], $3::text[], {owners}) as s (attribute, value, {owner}){on_conflict}"
        )
    }

    /// Deletes the same rows.
    pub fn leave(&self, place: Place) -> String {
        let (table, owner, owners) = (place.of(self.table), self.owner.column(), self.owner.many("$4"));
        format!(
            "delete from {table} s using unnest($2::text[], $3::text[], {owners}) as f (attribute, value, {owner})
             where s.user_pool_id = $1 and s.attribute = f.attribute and s.value = f.value and s.{owner} = f.{owner}"
        )
    }

    /// Which of the same rows are missing: id and attribute.
    pub fn missing(&self) -> String {
        let (table, owner, owners) = (self.table, self.owner.column(), self.owner.many("$4"));
        format!(
            "select {owner}::text, attribute from unnest($2::text[], $3::text[], {owners}) as e (attribute, value, {owner})
             where not exists (select from {table} s where s.user_pool_id = $1
                               and s.attribute = e.attribute and s.value = e.value and s.{owner} = e.{owner})"
        )
    }
}

impl Bound {
    /// Fails if pool `$1` has more than `$2` rows. Counts no further than that.
    pub fn assert_within(&self) -> String {
        let Self { name, table, .. } = self;
        format!(
            "select assert_within('{name}', $2, (select count(*) from
             (select from {table} where user_pool_id = $1 limit $2 + 1) as counted))"
        )
    }
}
