//! DeleteUserAttributes: the rules.

use crate::domain::app_client::AppClient;
use crate::domain::user::User;
use crate::domain::user::attribute_change::{AttributeDecision, delete_attributes};
use crate::domain::user_pool::UserPool;

/// Removes attributes of a user, as far as the client may write them.
pub fn delete_user_attributes(pool: &UserPool, client: &AppClient, user: &User, names: &[String]) -> AttributeDecision {
    delete_attributes(pool, user, names, client.writer())
}
