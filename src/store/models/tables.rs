//! Every table of the schema: whose it is, and of operational ones when their rows go.

use crate::domain::lockout::FORGET_SECONDS;
use crate::domain::user::codes::COUNTS_SECONDS;
use crate::store::models::MODELS;

/// A network from which a user has not signed in for so long is strange again.
const FAMILIAR_SECONDS: i64 = 30 * 24 * 60 * 60;
/// More than the clocks of replicas differ by.
const CLOCKS_DIFFER_SECONDS: i64 = 60 * 60;
/// So long after its end a message that was given up can still be looked at.
const DEAD_MESSAGE_SECONDS: i64 = 30 * 24 * 60 * 60;

/// A table of a pool's data that follows from no event: outside verify and rebuild.
#[derive(Clone, Copy, Debug)]
pub struct OperationalTable {
    /// Its name.
    pub name: &'static str,
    /// Its key.
    pub key: &'static [&'static str],
    /// Which of its rows end with a user.
    pub user: Option<UserColumn>,
    /// When a row's time is over.
    pub over: Option<Over>,
    /// Which rows the purge of a deleted pool takes: all, if nothing is said.
    pub purged: Option<&'static str>,
}

/// How a row names its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserColumn {
    /// By `sub`.
    Sub,
    /// By `owner`, which may name something else as well: what a row must fulfil besides, if anything.
    Owner(&'static str),
}

/// When a row's time is over: so many seconds after the time in a column.
#[derive(Clone, Copy, Debug)]
pub struct Over {
    /// The column.
    pub column: &'static str,
    /// The seconds.
    pub seconds: i64,
    /// What the row must fulfil besides; `$1` is the time before which it is over.
    pub besides: &'static str,
}

impl Over {
    const fn after(column: &'static str, seconds: i64) -> Self {
        Self { column, seconds, besides: "" }
    }
}

impl OperationalTable {
    const fn of_pool(name: &'static str, key: &'static [&'static str]) -> Self {
        Self { name, key, user: None, over: None, purged: None }
    }

    const fn of_user(name: &'static str, key: &'static [&'static str], column: UserColumn) -> Self {
        Self { user: Some(column), ..Self::of_pool(name, key) }
    }

    const fn over(self, over: Over) -> Self {
        Self { over: Some(over), ..self }
    }

    /// Drops `$2` rows that are over before the time `$1`, the oldest first. Nothing for a table whose rows stay.
    pub fn sweep(&self) -> Option<(String, Over)> {
        let Over { column, besides, .. } = self.over?;
        let statement = delete_some(self.name, self.key, &format!("{column} < $1{besides} order by {column}"));
        Some((statement, self.over?))
    }

    /// Drops `$2` rows of a pool `$1`.
    pub fn purge(&self) -> String {
        delete_some(self.name, self.key, &format!("user_pool_id = $1{}", self.purged.unwrap_or_default()))
    }
}

/// Drops `$2` rows of a table, those that fulfil a condition.
pub fn delete_some(table: &str, key: &[&str], which: &str) -> String {
    let key = key.join(", ");
    format!("delete from {table} where ({key}) in (select {key} from {table} where {which} limit $2)")
}

/// The operational tables, in the order in which the end of a user goes through them.
pub static OPERATIONAL: [OperationalTable; 11] = [
    OperationalTable::of_user("sessions", &["user_pool_id", "event_id"], UserColumn::Sub)
        .over(Over::after("expires_at", 0)),
    // A code that is over answers as one that is not there, but counts among those that were sent.
    OperationalTable::of_user("codes", &["user_pool_id", "sub", "purpose"], UserColumn::Sub)
        .over(Over::after("expires_at", COUNTS_SECONDS)),
    // A challenge token whose time is over is refused for that, spent or not. Other replicas' clocks may differ.
    OperationalTable::of_user("used_nonces", &["user_pool_id", "nonce"], UserColumn::Sub)
        .over(Over::after("expires_at", CLOCKS_DIFFER_SECONDS)),
    OperationalTable::of_user("sign_in_failures", &["user_pool_id", "sub", "source"], UserColumn::Sub).over(UNLOCKED),
    OperationalTable::of_user("familiar_networks", &["user_pool_id", "sub", "network"], UserColumn::Sub)
        .over(Over::after("last_at", FAMILIAR_SECONDS)),
    OperationalTable::of_pool("rates", &["user_pool_id", "kind", "key"])
        .over(Over::after("arrival", CLOCKS_DIFFER_SECONDS)),
    OperationalTable::of_pool("attempts", &["user_pool_id", "name_hash"]).over(UNLOCKED),
    OperationalTable::of_user("outbox", &["user_pool_id", "id"], UserColumn::Owner("")).over(Over {
        column: "expires_at",
        seconds: DEAD_MESSAGE_SECONDS,
        besides: " and dead",
    }),
    OperationalTable::of_user("mailbox", &["user_pool_id", "id"], UserColumn::Owner("")),
    OperationalTable {
        // The answer of the deletion itself tells nothing of the pool, and is given again for a day like any other.
        purged: Some(" and operation <> 'DeleteUserPool'"),
        ..OperationalTable::of_pool("stored_answers", &["access_key_id", "operation", "idempotency_key"])
            .over(Over::after("expires_at", 0))
    },
    OperationalTable::of_user("keys", &["user_pool_id", "key_id"], UserColumn::Owner(" and kind = 'user'")),
];

/// Failures are over once the last of them is long ago and nobody is locked by them.
const UNLOCKED: Over =
    Over { column: "last_at", seconds: FORGET_SECONDS, besides: " and (locked_until is null or locked_until < $1)" };

/// The tables that hold no rows of an aggregate and are no pool's operational rows, each with the module that keeps it.
const OTHERS: [(&str, &str); 11] = [
    ("log", "history"),
    ("activity", "activity"),
    ("relay_parked", "parked"),
    ("purges", "purge"),
    ("checkpoints", "feed"),
    ("leases", "leases"),
    ("meta", "system"),
    ("unfilled_read_models", "fill"),
    ("service_accounts", "service_accounts"),
    ("service_account_certificates", "account_certificates"),
    // Of the library that runs migrations.
    ("_sqlx_migrations", "system"),
];

/// Whose a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An aggregate's, by its kind: written by commits, proved by `verify`, made anew by `rebuild`, dropped by the purge.
    Aggregate(&'static str),
    /// A pool's operational rows.
    Operational,
    /// A module of the store.
    Module(&'static str),
}

/// All tables that somebody owns. What the schema has besides is forgotten by whatever goes through them.
pub fn owners() -> impl Iterator<Item = (&'static str, Owner)> {
    let aggregates = MODELS.iter().flat_map(|model| model.tables().map(|table| (table, Owner::Aggregate(model.kind))));
    let operational = OPERATIONAL.iter().map(|table| (table.name, Owner::Operational));
    let others = OTHERS.into_iter().map(|(table, module)| (table, Owner::Module(module)));
    aggregates.chain(operational).chain(others)
}
