//! The parts of the one read. A part is something that can be read: its columns, joins and parameters, and how it is
//! decoded.
//!
//! A read is built from the wanted parts only, because each join costs time even if it finds nothing. Equal sets of
//! parts have the same text, so that each connection prepares it once.

use std::sync::OnceLock;

use serde_json::value::RawValue;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{Postgres, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::app_client::AppClient;
use crate::domain::auth::session::Session;
use crate::domain::decision::Aggregate;
use crate::domain::ids::{ClientId, DeviceId, GroupId, Sub, UserPoolId};
use crate::domain::lockout::Attempts;
use crate::domain::personal::Sealed;
use crate::domain::rate::Arrival;
use crate::domain::source::{Source, Tally};
use crate::domain::time::Timestamp;
use crate::domain::user::codes::SentCode;
use crate::domain::user_pool::UserPool;
use crate::store::error::StoreError;
use crate::store::from_database;
use crate::store::loaded::DeviceUse;
use crate::store::read::{Failures, VersionedAttempts, Wanted};

/// The parameters of a read.
pub(super) struct Asked<'a> {
    pub pool_id: &'a UserPoolId,
    /// The cached version, if any.
    pub pool_version: Option<i64>,
    pub client_id: Option<&'a ClientId>,
    /// The cached version, if any.
    pub client_version: Option<i64>,
    pub wanted: Wanted<'a>,
}

/// The content of a row, part by part. Parts that were not wanted are empty.
#[derive(Default)]
pub(super) struct Found<'r> {
    pub pool: Versioned<'r>,
    pub client: Option<Versioned<'r>>,
    pub session: Option<Session>,
    pub user: Option<UserRow<'r>>,
    pub familiar_since: Option<Timestamp>,
    pub is_known: bool,
    pub attempts: Option<VersionedAttempts>,
    pub attempts_by_name: Option<Attempts>,
    pub code: Option<SentCode>,
    pub code_by_name: Option<SentCode>,
    pub arrival: Option<Arrival>,
    pub taken: Vec<String>,
    pub group: Option<(GroupId, Versioned<'r>)>,
    pub device: Option<DeviceRow<'r>>,
    pub groups: Vec<(GroupId, i32, Box<RawValue>)>,
}

/// A row of a read model. It has no state if the cached version is current.
#[derive(Clone, Copy, Default)]
pub(super) struct Versioned<'r> {
    pub version: i64,
    pub revision: i32,
    pub state: Option<&'r RawValue>,
}

/// A user's row with the wrapped key.
pub(super) struct UserRow<'r> {
    pub sub: Sub,
    pub row: Versioned<'r>,
    pub key_id: Uuid,
    pub key: Vec<u8>,
}

/// A device's row, with that of its last sign-in.
pub(super) struct DeviceRow<'r> {
    pub id: DeviceId,
    pub row: Versioned<'r>,
    pub last_use: Option<DeviceUse>,
    pub awaited: Option<String>,
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A part of the read.
struct Part {
    /// The alias of its table, by which other parts refer to it.
    alias: &'static str,
    is_wanted: fn(&Asked<'_>) -> bool,
    /// The columns that it selects. `?1` is the first of its own parameters.
    columns: &'static str,
    /// The joins that it needs, depending on the other parts.
    joins: fn(Shape) -> String,
    /// How many parameters it has.
    values: usize,
    bind: for<'q> fn(Statement<'q>, &Asked<'q>) -> Statement<'q>,
    decode: for<'r> fn(&'r PgRow, &mut Found<'r>) -> Result<(), StoreError>,
}

/// The order of the joins: each part may refer to those before it.
static PARTS: [Part; 15] = [
    POOL,
    CLIENT,
    SESSION,
    NAME,
    USER,
    NETWORK,
    ATTEMPTS,
    ATTEMPTS_BY_NAME,
    CODE,
    CODE_BY_NAME,
    RATE,
    TAKEN,
    GROUP,
    DEVICE,
    GROUPS,
];

const POOL: Part = Part {
    alias: "p",
    is_wanted: |_| true,
    columns: "p.version as pool_version,
       case when p.version is distinct from ?2 or p.revision <> ?3 then p.state end as pool_state,
       p.revision as pool_revision",
    joins: |_| String::new(),
    values: 3,
    bind: |statement, asked| statement.bind(asked.pool_id.as_str()).bind(asked.pool_version).bind(UserPool::REVISION),
    decode: |row, found| {
        found.pool = versioned(row, "pool")?.unwrap_or_default();
        Ok(())
    },
};

const CLIENT: Part = Part {
    alias: "c",
    is_wanted: |asked| asked.client_id.is_some(),
    columns: "c.version as client_version,
       case when c.version is distinct from ?2 or c.revision <> ?3 then c.state end as client_state,
       c.revision as client_revision",
    joins: |_| "left join clients c on c.user_pool_id = p.user_pool_id and c.client_id = ?1".to_owned(),
    values: 3,
    bind: |statement, asked| {
        let id = asked.client_id.map(ClientId::as_str);
        statement.bind(id).bind(asked.client_version).bind(AppClient::REVISION)
    },
    decode: |row, found| {
        found.client = versioned(row, "client")?;
        Ok(())
    },
};

const SESSION: Part = Part {
    alias: "s",
    is_wanted: |asked| asked.wanted.session.is_some(),
    columns: "s.event_id as session_id, s.sub as session_sub, s.client_id as session_client,
       s.token_generation as session_generation, s.auth_time as session_auth_time, s.expires_at as session_expires_at,
       s.refresh_counter as session_refresh_counter, s.replaced_at as session_replaced_at,
       s.device_id as session_device, s.refreshable as session_refreshable",
    joins: |_| "left join sessions s on s.user_pool_id = p.user_pool_id and s.event_id = ?1".to_owned(),
    values: 1,
    bind: |statement, asked| statement.bind(asked.wanted.session),
    decode: |row, found| {
        found.session = session(row)?;
        Ok(())
    },
};

/// The owner of a name; the user's part reads the user.
const NAME: Part = Part {
    alias: "n",
    is_wanted: |asked| asked.wanted.name.is_some(),
    columns: "",
    joins: |_| "left join names n on n.user_pool_id = p.user_pool_id and n.name = ?1".to_owned(),
    values: 1,
    bind: |statement, asked| statement.bind(asked.wanted.name),
    decode: |_, _| Ok(()),
};

/// The user, found by name, `sub` or session.
const USER: Part = Part {
    alias: "u",
    is_wanted: |asked| {
        let Wanted { session, name, sub, code, groups, .. } = asked.wanted;
        session.is_some() || name.is_some() || sub.is_some() || code.is_some() || groups || (NETWORK.is_wanted)(asked)
    },
    columns: "u.sub as user_sub, u.version as user_version, u.revision as user_revision, u.state as user_state,
       k.key_id as key_id, k.wrapped as key_wrapped",
    joins: |shape| {
        let by_session = if shape.has("s") { ", s.sub" } else { "" };
        let by_name = if shape.has("n") { ", n.sub" } else { "" };
        format!(
            "left join users u on u.user_pool_id = p.user_pool_id and u.sub = coalesce(?1{by_session}{by_name})
left join keys k on k.user_pool_id = p.user_pool_id and k.kind = 'user' and k.owner = u.sub::text"
        )
    },
    values: 1,
    bind: |statement, asked| statement.bind(asked.wanted.sub.map(|sub| sub.0)),
    decode: |row, found| {
        let Some(versioned) = versioned(row, "user")? else { return Ok(()) };
        let (sub, key_id, key) = (row.try_get("user_sub")?, row.try_get("key_id")?, row.try_get("key_wrapped")?);
        found.user = Some(UserRow { sub: Sub(sub), row: versioned, key_id, key });
        Ok(())
    },
};

const NETWORK: Part = Part {
    alias: "w",
    is_wanted: |asked| asked.wanted.network.is_some() || (ATTEMPTS.is_wanted)(asked),
    columns: "w.last_at as familiar_since,
       exists (select from familiar_networks f where f.user_pool_id = u.user_pool_id and f.sub = u.sub) as is_known",
    joins: |_| {
        "left join familiar_networks w on w.user_pool_id = p.user_pool_id and w.sub = u.sub and w.network = ?1"
            .to_owned()
    },
    values: 1,
    bind: |statement, asked| statement.bind(asked.wanted.network),
    decode: |row, found| {
        found.familiar_since = time(row, "familiar_since")?;
        found.is_known = row.try_get("is_known")?;
        Ok(())
    },
};

const ATTEMPTS: Part = Part {
    alias: "a",
    is_wanted: |asked| asked.wanted.failures.is_some(),
    columns: "a.failures as failures, a.last_at as last_at, a.locked_until as locked_until, a.version as attempts_version",
    joins: |_| {
        "left join sign_in_failures a on a.user_pool_id = p.user_pool_id and a.sub = coalesce(u.sub, ?1)
    and a.source = coalesce(?2, case when w.network is null then 'strange' else 'familiar' end)"
            .to_owned()
    },
    values: 2,
    bind: |statement, asked| {
        let other = asked.wanted.failures.filter(|failures| *failures != Failures::SignIn);
        statement.bind(asked.wanted.nobody.map(|sub| sub.0)).bind(other.map(|it| it.counted(Source::Familiar)))
    },
    decode: |row, found| {
        found.attempts = attempts(row, ["failures", "last_at", "locked_until", "attempts_version"])?;
        Ok(())
    },
};

/// The count under the name, beside the one of the user.
const ATTEMPTS_BY_NAME: Part = Part {
    alias: "an",
    is_wanted: |asked| asked.wanted.told.is_some() && (ATTEMPTS.is_wanted)(asked),
    columns: "an.failures as named_failures, an.last_at as named_last_at, an.locked_until as named_locked_until,
       an.version as named_attempts_version",
    joins: |_| {
        "left join sign_in_failures an on an.user_pool_id = p.user_pool_id and an.sub = ?1 and an.source = 'by_name'"
            .to_owned()
    },
    values: 1,
    bind: |statement, asked| statement.bind(asked.wanted.told.map(|sub| sub.0)),
    decode: |row, found| {
        let columns = ["named_failures", "named_last_at", "named_locked_until", "named_attempts_version"];
        found.attempts_by_name = attempts(row, columns)?.map(|versioned| versioned.attempts);
        Ok(())
    },
};

const CODE: Part = Part {
    alias: "o",
    is_wanted: |asked| asked.wanted.code.is_some(),
    columns: "o.hash as code_hash, o.attribute as code_attribute, o.asked_from as code_asked_from, o.attempts as code_attempts,
       o.strange_attempts as code_strange_attempts, o.expires_at as code_expires_at, o.sent as code_sent,
       o.strange_sent as code_strange_sent, o.window_began as code_window_began",
    joins: |_| {
        "left join codes o on o.user_pool_id = p.user_pool_id and o.sub = coalesce(u.sub, ?1) and o.purpose = ?2"
            .to_owned()
    },
    values: 2,
    bind: |statement, asked| {
        let purpose = asked.wanted.code.map(|purpose| purpose.as_str_name());
        statement.bind(asked.wanted.nobody.map(|sub| sub.0)).bind(purpose)
    },
    decode: |row, found| {
        found.code = code(row, "code")?;
        Ok(())
    },
};

/// The code that is stored for the name, beside that of the user.
const CODE_BY_NAME: Part = Part {
    alias: "cn",
    is_wanted: |asked| asked.wanted.told.is_some() && (CODE.is_wanted)(asked),
    columns: "cn.hash as named_hash, cn.attribute as named_attribute, cn.asked_from as named_asked_from, cn.attempts as named_attempts,
       cn.strange_attempts as named_strange_attempts, cn.expires_at as named_expires_at, cn.sent as named_sent,
       cn.strange_sent as named_strange_sent, cn.window_began as named_window_began",
    joins: |_| {
        "left join codes cn on cn.user_pool_id = p.user_pool_id and cn.sub = ?1 and cn.purpose = ?2 || '_BY_NAME'"
            .to_owned()
    },
    values: 2,
    bind: |statement, asked| {
        let purpose = asked.wanted.code.map(|purpose| purpose.as_str_name());
        statement.bind(asked.wanted.told.map(|sub| sub.0)).bind(purpose)
    },
    decode: |row, found| {
        found.code_by_name = code(row, "named")?;
        Ok(())
    },
};

const RATE: Part = Part {
    alias: "r",
    is_wanted: |asked| asked.wanted.rate.is_some(),
    columns: "r.arrival as arrival",
    joins: |_| "left join rates r on r.user_pool_id = p.user_pool_id and r.kind = ?1 and r.key = ?2".to_owned(),
    values: 2,
    bind: |statement, asked| {
        let rate = asked.wanted.rate;
        statement.bind(rate.map(|limited| limited.kind.name())).bind(rate.map(|limited| &*limited.key))
    },
    decode: |row, found| {
        found.arrival = time(row, "arrival")?;
        Ok(())
    },
};

const TAKEN: Part = Part {
    alias: "",
    is_wanted: |asked| !asked.wanted.taken.is_empty(),
    columns: "array(select t.name from names t where t.user_pool_id = p.user_pool_id and t.name = any(?1)) as taken",
    joins: |_| String::new(),
    values: 1,
    bind: |statement, asked| statement.bind(asked.wanted.taken),
    decode: |row, found| {
        found.taken = row.try_get("taken")?;
        Ok(())
    },
};

const GROUP: Part = Part {
    alias: "g",
    is_wanted: |asked| asked.wanted.group.is_some(),
    columns: "g.group_id as group_id, g.version as group_version, g.revision as group_revision, g.state as group_state",
    joins: |_| {
        "left join group_names gn on gn.user_pool_id = p.user_pool_id and gn.name = ?1
left join groups g on g.user_pool_id = p.user_pool_id and g.group_id = gn.group_id"
            .to_owned()
    },
    values: 1,
    bind: |statement, asked| statement.bind(asked.wanted.group),
    decode: |row, found| {
        let Some(versioned) = versioned(row, "group")? else { return Ok(()) };
        found.group = Some((GroupId(row.try_get("group_id")?), versioned));
        Ok(())
    },
};

const DEVICE: Part = Part {
    alias: "d",
    is_wanted: |asked| asked.wanted.device.is_some(),
    columns:
        "d.device_id as device_id, d.version as device_version, d.revision as device_revision, d.state as device_state,
       v.last_at as device_last_at, v.address as device_address, v.awaited as device_awaited",
    joins: |_| {
        "left join devices d on d.user_pool_id = p.user_pool_id and d.device_id = ?1
left join device_uses v on v.user_pool_id = p.user_pool_id and v.device_id = ?1"
            .to_owned()
    },
    values: 1,
    bind: |statement, asked| statement.bind(asked.wanted.device.map(|device| device.0)),
    decode: |row, found| {
        let Some(versioned) = versioned(row, "device")? else { return Ok(()) };
        let (id, awaited) = (DeviceId(row.try_get("device_id")?), row.try_get("device_awaited")?);
        found.device = Some(DeviceRow { id, row: versioned, last_use: device_use(row)?, awaited });
        Ok(())
    },
};

const GROUPS: Part = Part {
    alias: "",
    is_wanted: |asked| asked.wanted.groups,
    columns: "array(select jsonb_build_array(i.group_id, i.revision, i.state) from memberships m
             join groups i on i.user_pool_id = m.user_pool_id and i.group_id = m.group_id
             where m.user_pool_id = u.user_pool_id and m.sub = u.sub) as groups",
    joins: |_| String::new(),
    values: 0,
    bind: |statement, _| statement,
    decode: |row, found| {
        let groups: Vec<Json<(GroupId, i32, Box<RawValue>)>> = row.try_get("groups")?;
        found.groups = groups.into_iter().map(|Json(group)| group).collect();
        Ok(())
    },
};

/// The set of parts of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape(usize);

impl Shape {
    /// The set of the wanted parts.
    pub fn of(asked: &Asked<'_>) -> Self {
        let bits = PARTS.iter().enumerate().map(|(index, part)| usize::from((part.is_wanted)(asked)) << index);
        Self(bits.sum())
    }

    fn parts(self) -> impl Iterator<Item = &'static Part> {
        PARTS.iter().enumerate().filter(move |(index, _)| self.0 & 1 << index != 0).map(|(_, part)| part)
    }

    fn has(self, alias: &str) -> bool {
        self.parts().any(|part| part.alias == alias)
    }

    /// The statement that reads these parts at one moment.
    pub fn text(self) -> &'static str {
        static TEXTS: [OnceLock<String>; 1 << PARTS.len()] = [const { OnceLock::new() }; 1 << PARTS.len()];
        TEXTS[self.0].get_or_init(|| self.compose())
    }

    fn compose(self) -> String {
        let (mut columns, mut joins, mut values) = (Vec::new(), String::new(), 0);
        for part in self.parts() {
            if !part.columns.is_empty() {
                columns.push(numbered(part.columns, values));
            }
            let joined = (part.joins)(self);
            if !joined.is_empty() {
                joins.push_str(&numbered(&joined, values));
                joins.push('\n');
            }
            values += part.values;
        }
        let columns = columns.join(",\n       ");
        format!("select {columns}\nfrom pools p\n{joins}where p.user_pool_id = $1")
    }

    /// The statement with its parameters.
    pub fn statement<'q>(self, asked: &Asked<'q>) -> Statement<'q> {
        self.parts().fold(sqlx::query(self.text()), |statement, part| (part.bind)(statement, asked))
    }

    /// Decodes a row of these parts.
    pub fn decode(self, row: &PgRow) -> Result<Found<'_>, StoreError> {
        let mut found = Found::default();
        for part in self.parts() {
            (part.decode)(row, &mut found)?;
        }
        Ok(found)
    }
}

/// The text of a part, with its parameters numbered after those of the parts before it.
fn numbered(text: &str, before: usize) -> String {
    let mut pieces = text.split('?');
    let mut numbered = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let own =
            piece.bytes().take_while(u8::is_ascii_digit).fold(0, |own, digit| own * 10 + usize::from(digit - b'0'));
        numbered.push_str(&format!("${}", before + own));
        numbered.push_str(piece.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    }
    numbered
}

/// The version, revision and state of a row, if there is one.
fn versioned<'r>(row: &'r PgRow, of: &str) -> Result<Option<Versioned<'r>>, StoreError> {
    let column = |name: &str| format!("{of}_{name}");
    let Some(version) = row.try_get::<Option<i64>, _>(&*column("version"))? else { return Ok(None) };
    let state: Option<Json<&RawValue>> = row.try_get(&*column("state"))?;
    let revision = row.try_get(&*column("revision"))?;
    Ok(Some(Versioned { version, revision, state: state.map(|Json(state)| state) }))
}

fn session(row: &PgRow) -> Result<Option<Session>, StoreError> {
    let Some(event_id) = row.try_get::<Option<Uuid>, _>("session_id")? else { return Ok(None) };
    let time = |column| row.try_get::<OffsetDateTime, _>(column).map(from_database);
    Ok(Some(Session {
        event_id,
        sub: Sub(row.try_get("session_sub")?),
        client_id: ClientId::new(row.try_get::<String, _>("session_client")?),
        token_generation: row.try_get("session_generation")?,
        auth_time: time("session_auth_time")?,
        expires_at: time("session_expires_at")?,
        refresh_counter: row.try_get("session_refresh_counter")?,
        replaced_at: row.try_get::<Option<OffsetDateTime>, _>("session_replaced_at")?.map(from_database),
        device: row.try_get::<Option<Uuid>, _>("session_device")?.map(DeviceId),
        is_refreshable: row.try_get("session_refreshable")?,
    }))
}

/// The last sign-in with a device, if there was one.
pub(in crate::store) fn device_use(row: &PgRow) -> Result<Option<DeviceUse>, StoreError> {
    let Some(at) = time(row, "device_last_at")? else { return Ok(None) };
    Ok(Some(DeviceUse { at, address: row.try_get::<Option<Vec<u8>>, _>("device_address")?.map(Sealed) }))
}

/// The failures, the time of the last one, the end of the lock, and the version.
fn attempts(row: &PgRow, columns: [&str; 4]) -> Result<Option<VersionedAttempts>, StoreError> {
    let [failures, last_at, locked_until, version] = columns;
    let Some(version) = row.try_get::<Option<i64>, _>(version)? else { return Ok(None) };
    let attempts = Attempts {
        failures: row.try_get::<i32, _>(failures)?.unsigned_abs(),
        last_at: from_database(row.try_get(last_at)?),
        locked_until: time(row, locked_until)?,
    };
    Ok(Some(VersionedAttempts { attempts, version }))
}

pub(super) fn time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<OffsetDateTime>, _>(column)?.map(from_database))
}

fn code(row: &PgRow, of: &str) -> Result<Option<SentCode>, StoreError> {
    let column = |name: &str| format!("{of}_{name}");
    let Some(hash) = row.try_get::<Option<Vec<u8>>, _>(&*column("hash"))? else { return Ok(None) };
    let tally = |familiar: &str, strange: &str| {
        let (familiar, strange) = (row.try_get(&*column(familiar))?, row.try_get(&*column(strange))?);
        Ok::<_, StoreError>(Tally { familiar, strange })
    };
    Ok(Some(SentCode {
        hash,
        attribute: row.try_get(&*column("attribute"))?,
        asked_from: row.try_get(&*column("asked_from"))?,
        attempts: tally("attempts", "strange_attempts")?,
        expires_at: from_database(row.try_get(&*column("expires_at"))?),
        sent: tally("sent", "strange_sent")?,
        window_began: from_database(row.try_get(&*column("window_began"))?),
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::rate::{Limited, Rate, RateKind};
    use crate::proto::events::CodePurpose;

    fn shape(client_id: Option<&ClientId>, wanted: &Wanted<'_>) -> Shape {
        let pool_id = UserPoolId::new("us-east-1_aaaaaaaaa");
        let wanted = wanted.clone();
        Shape::of(&Asked { pool_id: &pool_id, pool_version: None, client_id, client_version: None, wanted })
    }

    fn text(client: Option<&ClientId>, wanted: &Wanted<'_>) -> &'static str {
        shape(client, wanted).text()
    }

    #[test]
    fn values_are_numbered_behind_those_of_the_parts_before() {
        assert_eq!(numbered("a = ?1 and b = ?2 || '_'", 3), "a = $4 and b = $5 || '_'");
        assert_eq!(numbered("nothing", 3), "nothing");
    }

    #[test]
    fn each_part_names_exactly_the_parameters_that_it_binds() {
        for (index, part) in PARTS.iter().enumerate() {
            let own = format!("{} {}", part.columns, (part.joins)(Shape(1 << index)));
            // The pool's parameter comes after all joins.
            let named: BTreeSet<_> = (1..=9).filter(|value| own.contains(&format!("?{value}"))).collect();
            let first = if part.alias == "p" { 2 } else { 1 };
            assert_eq!(named, (first..=part.values).collect(), "{own}");
        }
    }

    #[test]
    fn a_read_joins_only_the_wanted_parts() {
        let (id, name) = (ClientId::new("client"), "name".to_owned());
        let by_token = Wanted { session: Some(Uuid::nil()), sub: Some(Sub(Uuid::nil())), ..Wanted::default() };
        let by_token = text(Some(&id), &by_token);
        for joined in ["clients c", "sessions s", "users u", "keys k", ", s.sub)"] {
            assert!(by_token.contains(joined), "{joined}: {by_token}");
        }
        for absent in ["names", "failures", "codes", "groups", "memberships", "networks", "rates", "devices"] {
            assert!(!by_token.contains(absent), "{absent}: {by_token}");
        }
        let taken = Wanted { taken: std::slice::from_ref(&name), ..Wanted::default() };
        let sign_up = text(Some(&id), &taken);
        assert!(sign_up.contains("names t") && !sign_up.contains("users u"), "{sign_up}");
        let group = text(None, &Wanted { group: Some("readers"), ..Wanted::default() });
        assert!(group.contains("group_names gn") && !group.contains("memberships"), "{group}");
        let groups = text(None, &Wanted { groups: true, ..Wanted::default() });
        assert!(groups.contains("memberships m") && groups.contains("users u"), "{groups}");
        let pool = text(None, &Wanted::default());
        assert!(!pool.contains("join"), "{pool}");
    }

    #[test]
    fn each_shape_has_a_constant_statement_of_its_own() {
        let (id, taken) = (ClientId::new("client"), ["name".to_owned()]);
        let limited = Limited { kind: RateKind::GuessesByCaller, key: vec![0], rate: Rate::an_hour(1).unwrap() };
        let (mut texts, mut shapes) = (BTreeSet::new(), BTreeSet::new());
        for bits in 0..1 << 12 {
            let is = |bit: u32| bits & 1 << bit != 0;
            let wanted = Wanted {
                name: is(0).then_some("name"),
                session: is(1).then_some(Uuid::nil()),
                failures: is(2).then_some(Failures::SignIn),
                told: is(8).then_some(Sub(Uuid::nil())),
                network: is(9).then_some(&[0][..]),
                rate: is(10).then_some(&limited),
                code: is(3).then_some(CodePurpose::SignUp),
                taken: if is(4) { &taken } else { &[] },
                group: is(5).then_some("readers"),
                device: is(11).then_some(DeviceId(Uuid::nil())),
                groups: is(6),
                ..Wanted::default()
            };
            let client = is(7).then_some(&id);
            let shape = shape(client, &wanted);
            assert_eq!(shape.text(), shape.compose());
            assert!(std::ptr::eq(shape.text(), text(client, &wanted)));
            texts.insert(shape.text());
            shapes.insert(shape);
        }
        assert_eq!(texts.len(), shapes.len());
    }
}
