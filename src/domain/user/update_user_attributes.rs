//! UpdateUserAttributes: the rules.

use crate::domain::app_client::AppClient;
use crate::domain::user::User;
use crate::domain::user::attribute_change::{AttributeDecision, FreshCodes, set_attributes};
use crate::domain::user_pool::UserPool;
use crate::proto::v1;

/// Sets attributes of a user, as far as the client may write them.
pub fn update_user_attributes(
    pool: &UserPool,
    client: &AppClient,
    user: &User,
    written: &[v1::AttributeType],
    codes: &FreshCodes,
) -> AttributeDecision {
    set_attributes(pool, user, written, client.writer(), codes)
}
