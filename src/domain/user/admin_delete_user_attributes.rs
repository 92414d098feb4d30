//! AdminDeleteUserAttributes: the rules.

use crate::domain::attributes::Writer;
use crate::domain::user::User;
use crate::domain::user::attribute_change::{AttributeDecision, delete_attributes};
use crate::domain::user_pool::UserPool;

/// Removes attributes of a user.
pub fn admin_delete_user_attributes(pool: &UserPool, user: &User, names: &[String]) -> AttributeDecision {
    delete_attributes(pool, user, names, Writer::Administrator)
}
