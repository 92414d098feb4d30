//! AdminLinkProviderForUser.

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::user::admin_link_provider_for_user::{self as rules, LinkProvider};
use crate::domain::user::identities::OWN_PROVIDER;
use crate::proto::v1::{AdminLinkProviderForUserRequest, AdminLinkProviderForUserResponse};
use crate::store::commit::Commit;
use crate::store::read::Wanted;

/// Links an identity at an external provider to a user.
pub async fn admin_link_provider_for_user(
    app: &App,
    caller: &Caller,
    request: &AdminLinkProviderForUserRequest,
) -> Result<AdminLinkProviderForUserResponse, Failure> {
    let pool_id = UserPoolId::parse(request.user_pool_id());
    let pool_id = pool_id.ok_or_else(|| Error::no_such_pool(request.user_pool_id()))?;
    let destination = rules::identity("DestinationUser", request.destination_user.as_ref())?;
    let source = rules::source(request.source_user.as_ref())?;
    let name = match destination.provider_name.as_str() {
        OWN_PROVIDER => app.store.pool_hint(&pool_id).await?.name_rules.normalise(&destination.attribute_value),
        _ => destination.claim(),
    };
    let claim = [source.claim()];
    let wanted = Wanted { name: Some(&name), taken: &claim, ..Wanted::default() };
    let found = app.store.read(&pool_id, None, wanted).await?;
    let (pool, user) = (found.pool, found.user.ok_or_else(Error::no_such_user)?);
    let command = LinkProvider {
        source: source.clone(),
        is_linked: !found.taken.is_empty(),
        link_id: app.random.uuid().to_string(),
        most: app.settings.counts.identities_per_user,
    };
    let decision = rules::admin_link_provider_for_user(&user.state, command);
    let commit = Commit::about(&pool, &caller.developer_origin(), app.clock.now());
    app.store.settle(commit.decided(&user, decision).map(|()| AdminLinkProviderForUserResponse {})).await
}
