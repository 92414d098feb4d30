//! AdminDisableProviderForUser.

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::user::admin_disable_provider_for_user as rules;
use crate::domain::user::admin_link_provider_for_user::identity;
use crate::domain::user::identities::OWN_PROVIDER;
use crate::proto::v1::{AdminDisableProviderForUserRequest, AdminDisableProviderForUserResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Removes the link between an identity and its user, or the password of a user of the pool itself.
pub async fn admin_disable_provider_for_user(
    app: &App,
    caller: &Caller,
    request: &AdminDisableProviderForUserRequest,
) -> Result<AdminDisableProviderForUserResponse, Failure> {
    let pool_id = UserPoolId::parse(request.user_pool_id());
    let pool_id = pool_id.ok_or_else(|| Error::no_such_pool(request.user_pool_id()))?;
    let identity = identity("User", request.user.as_ref())?;
    let name = match identity.provider_name.as_str() {
        OWN_PROVIDER => app.store.pool_hint(&pool_id).await?.name_rules.normalise(&identity.attribute_value),
        _ => identity.claim(),
    };
    let found = app.store.read(&pool_id, None, Wanted { name: Some(&name), ..Wanted::default() }).await?;
    let (pool, user) = (found.pool, found.user.ok_or_else(Error::no_such_user)?);
    let decision = rules::admin_disable_provider_for_user(&user.state, &identity);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminDisableProviderForUserResponse {})).await
}
