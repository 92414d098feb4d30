//! A group with a given name.

use crate::app::App;
use crate::app::attempts::settled;
use crate::app::caller::Caller;
use crate::app::group::create_group::create_group;
use crate::app::group::update_group::update_group;
use crate::app::seed::COLLISION;
use crate::domain::error::{Error, Exception};
use crate::proto::v1::{CreateGroupRequest, UpdateGroupRequest};

/// Creates the group, or changes settings that differ, as UpdateGroup does.
pub async fn seed_group(app: &App, caller: &Caller, wanted: &CreateGroupRequest) -> Result<(), Error> {
    match settled(COLLISION, || create_group(app, caller, wanted)).await {
        Err(error) if error.exception == Exception::GroupExistsException => {}
        created => return created.map(drop),
    }
    let CreateGroupRequest { group_name, user_pool_id, description, role_arn, precedence } = wanted.clone();
    let update = UpdateGroupRequest { group_name, user_pool_id, description, role_arn, precedence };
    settled(COLLISION, || update_group(app, caller, &update)).await.map(drop)
}
