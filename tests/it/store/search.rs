//! How users are found: every list uses an index, and a database of an earlier schema gets the searched values.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};
use userpool::domain::decision::Aggregate;
use userpool::domain::ids::UserPoolId;
use userpool::domain::user::User;
use userpool::domain::user::list_users::{parse_filter, search};
use userpool::domain::user::search::SearchAttribute;
use userpool::domain::user_pool::NameRules;
use userpool::store::users::{BY_GROUP, BY_SUB, BY_VALUE, BY_VALUES};
use uuid::Uuid;

use super::{Commits, Database, Happens, Pool, deleted};

/// How many users there are, unless `SEARCH_USERS` names another number.
const USERS: i64 = 20_000;

/// Rows as commits write them, for more users than commands could make in a test.
const SEED: [&str; 3] = [
    "insert into users (user_pool_id, sub, version, revision, state)
     select $1, md5(n::text)::uuid, 1, $2, s.state from generate_series(1, $3) n,
     lateral (select jsonb_set(jsonb_set($4, '{username}', jsonb_build_object('known', 'user-' || n)), '{sub}', to_jsonb(md5(n::text)::uuid)) as state) s",
    "insert into user_search (user_pool_id, attribute, value, sub)
     select $1, a.attribute, a.value, md5(n::text)::uuid from generate_series(1, $3) n, lateral (values
        ('username', 'user-' || n), ('email', 'user-' || n || '@example.com'), ('phone_number', '+1' || n),
        ('name', md5(n || 'name')), ('given_name', md5((n % 1000)::text)), ('family_name', md5((n % 5000)::text)),
        ('preferred_username', 'p-' || n), ('cognito:user_status', 'confirmed'), ('status', 'Enabled')) a (attribute, value)
     where $2 is not null and $4 is not null",
    "insert into memberships (user_pool_id, group_id, sub)
     select $1, md5((n % 3)::text)::uuid, md5(n::text)::uuid from generate_series(1, $3) n where $2 is not null and $4 is not null",
];

async fn seeded(database: &Database, users: i64) -> UserPoolId {
    let pool = Pool::create(&database.store).await;
    let user = pool.user("template").await.unwrap();
    let state = serde_json::to_value(&user.state).unwrap();
    let mut connection = database.sql().acquire().await.unwrap();
    sqlx::query("set statement_timeout = 0").execute(&mut *connection).await.unwrap();
    for statement in SEED {
        let query = sqlx::query(statement).bind(pool.id.as_str()).bind(User::REVISION).bind(users).bind(&state);
        query.execute(&mut *connection).await.unwrap();
    }
    sqlx::query("vacuum analyze users, user_search, memberships").execute(&mut *connection).await.unwrap();
    pool.id.clone()
}

fn plan(rows: Vec<PgRow>) -> String {
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

/// The plan of a list's statement for these parameters, and the generic plan for any.
async fn plans(database: &Database, statement: &str, types: &str, parameters: &[String]) -> [String; 2] {
    let mut connection = database.sql().acquire().await.unwrap();
    let run = async |connection: &mut sqlx::PgConnection, statement: String| {
        plan(sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(connection).await.unwrap())
    };
    run(&mut connection, format!("prepare list ({types}) as {statement}")).await;
    let mut plans = [const { String::new() }; 2];
    for (index, mode) in ["force_custom_plan", "force_generic_plan"].into_iter().enumerate() {
        run(&mut connection, format!("set plan_cache_mode = {mode}")).await;
        let explained = format!("explain (analyze, buffers) execute list ({})", parameters.join(", "));
        plans[index] = run(&mut connection, explained).await;
    }
    run(&mut connection, "deallocate list".to_owned()).await;
    run(&mut connection, "reset plan_cache_mode".to_owned()).await;
    plans
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_of_users_comes_from_an_index() {
    let users = std::env::var("SEARCH_USERS").ok().and_then(|users| users.parse().ok()).unwrap_or(USERS);
    let database = Database::create().await;
    let pool = seeded(&database, users).await;
    let (text, nil) = (|value: &str| format!("'{value}'"), format!("'{}'", Uuid::nil()));
    // Starts in the middle: earlier rows must not be read.
    let middle = format!("'{}'", Uuid::from_u128(1 << 127));
    let subs = vec![text(pool.as_str()), nil.clone(), middle.clone(), text(&Uuid::max().to_string()), "61".to_owned()];
    let members = vec![text(pool.as_str()), "md5('1')::uuid".to_owned(), middle.clone(), "61".to_owned()];
    let mut cases = vec![
        ("all".to_owned(), BY_SUB, "text, uuid, uuid, uuid, bigint", subs),
        ("members".to_owned(), BY_GROUP, "text, uuid, uuid, bigint", members),
    ];
    for attribute in SearchAttribute::ALL.into_iter().filter(|attribute| *attribute != SearchAttribute::Sub) {
        let (value, end) = match attribute {
            SearchAttribute::UserStatus => ("confirmed", "confirmee"),
            SearchAttribute::Status => ("Enabled", "Enablee"),
            SearchAttribute::PhoneNumber => ("+1123", "+1124"),
            SearchAttribute::PreferredUsername => ("p-123", "p-124"),
            SearchAttribute::Username | SearchAttribute::Email => ("user-123", "user-124"),
            _ => ("c4", "c5"),
        };
        let parameter = [text(pool.as_str()), text(attribute.name()), text(value), middle.clone()];
        let whole = parameter.iter().cloned().chain(["61".to_owned()]).collect();
        let prefix = parameter.into_iter().chain([text(end), "61".to_owned()]).collect();
        cases.push((format!("{} =", attribute.name()), BY_VALUE, "text, text, text, uuid, bigint", whole));
        cases.push((format!("{} ^=", attribute.name()), BY_VALUES, "text, text, text, uuid, text, bigint", prefix));
    }
    for (name, statement, types, parameters) in cases {
        for plan in plans(&database, statement, types, &parameters).await {
            println!("{name}: {}", plan.lines().last().unwrap_or_default());
            assert!(plan.contains("Index") && !plan.contains("Seq Scan") && !plan.contains("Sort"), "{name}:\n{plan}");
            // The number of rows read does not grow with the pool: it is a page.
            let read = plan
                .lines()
                .filter_map(|line| line.split("rows=").nth(2)?.split(['.', ' ']).next()?.parse::<i64>().ok())
                .collect::<Vec<_>>();
            assert!(!read.is_empty(), "{name}: no count of rows was found\n{plan}");
            let most = read.into_iter().max().unwrap_or(0);
            assert!(most <= 61, "{name} reads {most} rows:\n{plan}");
        }
    }
}

async fn found(database: &Database, pool: &Pool, filter: &str) -> Vec<String> {
    let search = search(parse_filter(filter).unwrap().as_ref(), &NameRules::default());
    let listed = database.store.list_users(&pool.id, &search, None, 10).await.unwrap();
    listed.iter().map(|listed| listed.user.username().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_a_database_of_the_schema_before_are_found_once_it_is_migrated() {
    let database = Database::create().await;
    let (pool, gone) = (Pool::create(&database.store).await, Pool::create(&database.store).await);
    let jane = pool.user("jane").await.unwrap();
    pool.user("john").await.unwrap();
    gone.user("somebody").await.unwrap();
    gone.delete().await;
    for statement in [
        "drop table groups, group_names, memberships, user_search, unfilled_read_models",
        "delete from _sqlx_migrations where version = 4",
    ] {
        sqlx::query(statement).execute(database.sql()).await.unwrap();
    }
    database.store.migrate().await.unwrap();
    database.assert_verified().await;
    assert_eq!(found(&database, &pool, "email = \"jane@example.com\"").await, ["jane"]);
    assert_eq!(found(&database, &pool, "username ^= \"j\"").await, ["jane", "john"]);

    // A migration that was killed goes on, and rows that exist already don't disturb it.
    for statement in
        ["delete from user_search where attribute = 'email'", "insert into unfilled_read_models values ('user_search')"]
    {
        sqlx::query(statement).execute(database.sql()).await.unwrap();
    }
    database.store.migrate().await.unwrap();
    database.assert_verified().await;
    database.store.commit(pool.commit().happened(&jane, vec![deleted()])).await.unwrap();
    assert_eq!(found(&database, &pool, "").await, ["john"]);
    database.assert_verified().await;
    let marked: i64 =
        sqlx::query_scalar("select count(*) from unfilled_read_models").fetch_one(database.sql()).await.unwrap();
    assert_eq!(marked, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_is_wrong_with_searches_and_memberships_and_rebuild_mends_it() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let jane = pool.user("jane").await.unwrap().state.sub;
    for statement in [
        "delete from user_search where attribute = 'email'",
        "insert into user_search select user_pool_id, 'name', 'nobody', sub from users",
        "insert into user_search select user_pool_id, 'name', 'somebody', sub from users",
        "insert into memberships select user_pool_id, '00000000-0000-4000-8000-000000000001', sub from users",
        "insert into groups select user_pool_id, '00000000-0000-4000-8000-000000000002', 1, 1, '{}' from users",
    ] {
        sqlx::query(statement).execute(database.sql()).await.unwrap();
    }
    let differences = database.store.verify(None).await.unwrap().differences;
    let expected = [
        format!(
            "{}: users/{jane} is among the members of groups/00000000-0000-4000-8000-000000000001 and not in it",
            pool.id
        ),
        format!("{}: users/{jane} can't be found by its email", pool.id),
        format!("{}: user_search has 5 rows and should have 4", pool.id),
        format!("{}: groups/00000000-0000-4000-8000-000000000002 has a row in groups and no event", pool.id),
    ];
    assert_eq!(differences, expected);
    database.another_store(None).await.rebuild().await.unwrap();
    database.assert_verified().await;
}
