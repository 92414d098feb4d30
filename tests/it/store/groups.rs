//! Groups in the store: a deleted group has no members, whichever of two commands came first.

use std::collections::BTreeMap;

use userpool::app::{App, Settings};
use userpool::domain::decision::replay;
use userpool::domain::error::Exception;
use userpool::domain::group::Group;
use userpool::domain::ids::{GroupId, StreamId};
use userpool::proto::events::user_event::Event;
use userpool::proto::events::{GroupCreated, GroupDeleted, UserGroupJoined, group_event};
use userpool::store::commit::NewGroup;
use userpool::store::error::StoreError;
use userpool::store::loaded::{LoadedGroup, LoadedUser};

use super::commands::{self, Answer};
use super::{Commits, Database, Happens, Pool};

impl Pool {
    async fn group(&self, name: &str) -> LoadedGroup {
        let (id, at) = (GroupId(self.random.uuid()), self.now());
        let event = group_event::Event::Created(GroupCreated { name: name.to_owned(), settings: None });
        self.store
            .commit(self.commit_at(at).happened(&NewGroup(id), vec![event.clone()]))
            .await
            .expect("the group is stored");
        let state = replay::<Group>(None, &StreamId::group(id), [(&event, at)]).expect("a group");
        LoadedGroup { state, version: 1 }
    }

    async fn join(&self, user: &LoadedUser, group: &LoadedGroup) -> Result<(), StoreError> {
        let (group_id, group_name) = (group.state.id.to_string(), group.state.name.clone());
        let event = Event::GroupJoined(UserGroupJoined { group_id, group_name });
        self.store.commit(self.commit().in_group(group).happened(user, vec![event])).await
    }

    async fn end(&self, group: &LoadedGroup) -> Result<(), StoreError> {
        let commit = self.commit().without_members(group.state.id);
        self.store.commit(commit.happened(group, vec![group_event::Event::Deleted(GroupDeleted {})])).await
    }
}

/// How many memberships name a group that does not exist, in pools that exist.
pub async fn dangling(database: &Database) -> i64 {
    sqlx::query_scalar(
        "select count(*) from memberships m where not exists
         (select from groups g where g.user_pool_id = m.user_pool_id and g.group_id = m.group_id)
         and exists (select from pools p where p.user_pool_id = m.user_pool_id)",
    )
    .fetch_one(database.sql())
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_join_and_an_end_that_were_decided_from_the_same_only_the_first_happens() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let (user, first, second) = (pool.user("jane").await.unwrap(), pool.group("a").await, pool.group("b").await);
    pool.end(&first).await.unwrap();
    assert!(matches!(pool.join(&user, &first).await, Err(StoreError::Stale)));
    pool.join(&user, &second).await.unwrap();
    assert!(matches!(pool.end(&second).await, Err(StoreError::Stale)));
    assert_eq!(dangling(&database).await, 0);
    database.assert_verified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_and_an_end_at_the_same_moment_leave_nobody_in_a_group_that_has_ended() {
    let database = Database::create().await;
    let pool = Pool::create(&database.store).await;
    let mut outcomes: BTreeMap<(bool, bool), usize> = BTreeMap::new();
    for number in 0..40 {
        let user = pool.user(&format!("user-{number}")).await.unwrap();
        let group = pool.group(&format!("group-{number}")).await;
        let (joined, ended) = tokio::join!(pool.join(&user, &group), pool.end(&group));
        *outcomes.entry((joined.is_ok(), ended.is_ok())).or_default() += 1;
        assert_ne!((joined.is_ok(), ended.is_ok()), (true, true), "one of them sees the other");
        for failed in [joined.err(), ended.err()].into_iter().flatten() {
            assert!(matches!(failed, StoreError::Stale), "{failed}");
        }
    }
    assert_eq!(dangling(&database).await, 0, "{outcomes:?}");
    database.assert_verified().await;
}

async fn sign_up_and_join(app: &App, pool: &str, client: &str, name: &str, group: &str) -> Answer {
    commands::sign_up(app, client, name, &format!("{name}@example.com")).await?;
    commands::join_group(app, pool, name, group).await
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_setting_lets_it_a_group_ends_with_its_members_and_its_successor_has_none() {
    let database = Database::create().await;
    let app = commands::app_with(
        database.store.clone(),
        Settings { delete_groups_with_members: true, ..Settings::default() },
    );
    let usual = commands::app(database.another_store(None).await);
    let pool = commands::create_pool(&app, commands::pool_request()).await.unwrap();
    let client = commands::create_client(&app, &pool).await.unwrap();
    commands::create_group(&app, &pool, "readers").await.unwrap();
    commands::create_group(&app, &pool, "others").await.unwrap();
    for name in ["jane", "john"] {
        sign_up_and_join(&app, &pool, &client, name, "readers").await.unwrap();
    }
    let refused = commands::delete_group(&usual, &pool, "readers").await;
    assert_eq!(refused, Err(Exception::InvalidParameterException), "off unless it is chosen");
    commands::delete_group(&app, &pool, "readers").await.unwrap();
    commands::create_group(&app, &pool, "readers").await.unwrap();
    assert_eq!(commands::members(&app, &pool, "readers").await.unwrap(), 0);
    assert_eq!(commands::groups_of(&app, &pool, "jane").await.unwrap(), Vec::<String>::new());
    database.assert_verified().await;
    assert_eq!(dangling(&database).await, 2, "their streams still name the group, and nothing shows it");

    // The user's next change of groups removes the old membership.
    commands::join_group(&app, &pool, "jane", "others").await.unwrap();
    assert_eq!(dangling(&database).await, 1);
    commands::join_group(&app, &pool, "john", "readers").await.unwrap();
    assert_eq!(dangling(&database).await, 0);
    assert_eq!(commands::groups_of(&app, &pool, "john").await.unwrap(), ["readers"]);
    database.assert_verified().await;
    database.another_store(None).await.rebuild().await.unwrap();
    assert_eq!(commands::members(&app, &pool, "readers").await.unwrap(), 1);
    database.assert_verified().await;
}
