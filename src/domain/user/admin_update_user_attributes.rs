//! AdminUpdateUserAttributes: the rules.

use crate::domain::attributes::Writer;
use crate::domain::user::User;
use crate::domain::user::attribute_change::{AttributeDecision, FreshCodes, set_attributes};
use crate::domain::user_pool::UserPool;
use crate::proto::v1;

/// Sets attributes of a user, and whether their addresses are verified: an administrator who declares an address
/// verified saves the user the code.
pub fn admin_update_user_attributes(
    pool: &UserPool,
    user: &User,
    written: &[v1::AttributeType],
    codes: &FreshCodes,
) -> AttributeDecision {
    set_attributes(pool, user, written, Writer::Administrator, codes)
}
