//! Every table of the schema: its owner, and for operational tables when their rows expire.

use crate::domain::lockout::FORGET_SECONDS;
use crate::domain::user::codes::COUNTS_SECONDS;
use crate::store::models::MODELS;

/// A network becomes strange this many seconds after the user's last sign-in from it.
const FAMILIAR_SECONDS: i64 = 30 * 24 * 60 * 60;
/// More seconds than the clocks of replicas differ by.
const CLOCKS_DIFFER_SECONDS: i64 = 60 * 60;
/// How many seconds an abandoned message is kept after its end, so that an operator can look at it.
const DEAD_MESSAGE_SECONDS: i64 = 30 * 24 * 60 * 60;

/// A table of a pool's data that is not derived from events, so verify and rebuild ignore it.
#[derive(Clone, Copy, Debug)]
pub struct OperationalTable {
    /// The table's name in the schema.
    pub name: &'static str,
    /// The columns of the primary key.
    pub key: &'static [&'static str],
    /// The column by which rows of a user are deleted with the user.
    pub user: Option<UserColumn>,
    /// When a row expires; `None` if rows stay.
    pub over: Option<Over>,
    /// A further condition for the rows that the purge of a deleted pool deletes; `None` for all rows.
    pub purged: Option<&'static str>,
}

/// The column that names the user of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserColumn {
    /// The column `sub`, a UUID.
    Sub,
    /// The column `owner`, which may also name something else. The text is a further condition for rows of users, or
    /// empty.
    Owner(&'static str),
}

/// When a row expires: this many seconds after the time in a column.
#[derive(Clone, Copy, Debug)]
pub struct Over {
    /// The column with the time.
    pub column: &'static str,
    /// Seconds after that time; 0 if the row expires at it.
    pub seconds: i64,
    /// A further condition; `$1` is the time before which the row has expired.
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

    /// Deletes `$2` rows that expired before `$1`, oldest first. `None` for a table whose rows stay.
    pub fn sweep(&self) -> Option<(String, Over)> {
        let Over { column, besides, .. } = self.over?;
        let statement = delete_some(self.name, self.key, &format!("{column} < $1{besides} order by {column}"));
        Some((statement, self.over?))
    }

    /// Deletes `$2` rows of a pool `$1`.
    pub fn purge(&self) -> String {
        delete_some(self.name, self.key, &format!("user_pool_id = $1{}", self.purged.unwrap_or_default()))
    }
}

/// Deletes `$2` rows of a table that meet a condition.
pub fn delete_some(table: &str, key: &[&str], which: &str) -> String {
    let key = key.join(", ");
    format!("delete from {table} where ({key}) in (select {key} from {table} where {which} limit $2)")
}

/// The operational tables, in the order in which the end of a user deletes from them.
pub static OPERATIONAL: [OperationalTable; 13] = [
    OperationalTable::of_user("sessions", &["user_pool_id", "event_id"], UserColumn::Sub)
        .over(Over::after("expires_at", 0)),
    // An expired code is refused like a missing one, but it still counts as sent.
    OperationalTable::of_user("codes", &["user_pool_id", "sub", "purpose"], UserColumn::Sub)
        .over(Over::after("expires_at", COUNTS_SECONDS)),
    // An expired challenge token is refused, spent or not. The clocks of other replicas may differ.
    OperationalTable::of_user("used_nonces", &["user_pool_id", "nonce"], UserColumn::Sub)
        .over(Over::after("expires_at", CLOCKS_DIFFER_SECONDS)),
    OperationalTable::of_user("sign_in_failures", &["user_pool_id", "sub", "source"], UserColumn::Sub).over(UNLOCKED),
    OperationalTable::of_user("familiar_networks", &["user_pool_id", "sub", "network"], UserColumn::Sub)
        .over(Over::after("last_at", FAMILIAR_SECONDS)),
    // It stays as long as the device.
    OperationalTable::of_user("device_uses", &["user_pool_id", "device_id"], UserColumn::Sub),
    // It stays as long as the passkey.
    OperationalTable::of_user("passkey_uses", &["user_pool_id", "passkey_id"], UserColumn::Sub),
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
        // The answer of the deletion itself reveals nothing about the pool, and is stored for a day like any other.
        purged: Some(" and operation <> 'DeleteUserPool'"),
        ..OperationalTable::of_pool("stored_answers", &["access_key_id", "operation", "idempotency_key"])
            .over(Over::after("expires_at", 0))
    },
    OperationalTable::of_user("keys", &["user_pool_id", "key_id"], UserColumn::Owner(" and kind = 'user'")),
];

/// Failures expire a day after the last one, unless the user is still locked.
const UNLOCKED: Over =
    Over { column: "last_at", seconds: FORGET_SECONDS, besides: " and (locked_until is null or locked_until < $1)" };

/// All other tables, each with the module that keeps it.
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
    // A table of the library that runs migrations.
    ("_sqlx_migrations", "system"),
];

/// The owner of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An aggregate, by its kind: written by commits, checked by `verify`, computed again by `rebuild`, deleted by the
    /// purge.
    Aggregate(&'static str),
    /// Operational rows of a pool.
    Operational,
    /// The module of the store that keeps the table.
    Module(&'static str),
}

/// All tables with an owner. Code that goes through all tables would miss one without.
pub fn owners() -> impl Iterator<Item = (&'static str, Owner)> {
    let aggregates = MODELS.iter().flat_map(|model| model.tables().map(|table| (table, Owner::Aggregate(model.kind))));
    let operational = OPERATIONAL.iter().map(|table| (table.name, Owner::Operational));
    let others = OTHERS.into_iter().map(|(table, module)| (table, Owner::Module(module)));
    aggregates.chain(operational).chain(others)
}
