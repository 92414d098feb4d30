//! Lists of groups and of their members, page by page.

use serde_json::value::RawValue;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::group::Group;
use crate::domain::ids::{GroupId, UserPoolId};
use crate::store::Store;
use crate::store::error::StoreError;

impl Store {
    /// The groups of a pool after this name, in the order of their names.
    pub async fn list_groups(
        &self,
        pool: &UserPoolId,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Group>, StoreError> {
        let rows: Vec<(Uuid, i32, Json<Box<RawValue>>)> = sqlx::query_as(
            "select g.group_id, g.revision, g.state from group_names n
             join groups g on g.user_pool_id = n.user_pool_id and g.group_id = n.group_id
             where n.user_pool_id = $1 and n.name > coalesce($2, '') order by n.name limit $3",
        )
        .bind(pool.as_str())
        .bind(after)
        .bind(limit)
        .fetch_all(&self.database)
        .await?;
        let mut groups = Vec::with_capacity(rows.len());
        for (id, revision, Json(state)) in rows {
            groups.push(self.current_group(pool, GroupId(id), revision, &state).await?);
        }
        Ok(groups)
    }

    /// Whether a group has members.
    pub async fn has_members(&self, pool: &UserPoolId, group: GroupId) -> Result<bool, StoreError> {
        let found =
            sqlx::query_scalar("select exists (select from memberships where user_pool_id = $1 and group_id = $2)")
                .bind(pool.as_str())
                .bind(group.0)
                .fetch_one(&self.database)
                .await?;
        Ok(found)
    }
}
