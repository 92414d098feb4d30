//! VerifyUserAttribute.

use crate::app::caller::Caller;
use crate::app::codes::Tried;
use crate::app::user::attribute_change::{Change, refuse_taken_names};
use crate::app::user::signed_in::{signed_in_with, verified};
use crate::app::{App, Failure, codes};
use crate::domain::source::Source;
use crate::domain::trigger::Texts;
use crate::domain::user::codes::{Guessed, Guesser, verification};
use crate::domain::user::get_user_attribute_verification_code::address_to_prove;
use crate::domain::user::verify_user_attribute::{self as rules, medium_of};
use crate::proto::v1::{VerifyUserAttributeRequest, VerifyUserAttributeResponse};
use crate::store::commit::{Commit, Kept};
use crate::store::read::Wanted;

/// Verifies an address of the access token's user by the code that was sent to it.
pub async fn verify_user_attribute(
    app: &App,
    caller: &Caller,
    request: &VerifyUserAttributeRequest,
) -> Result<VerifyUserAttributeResponse, Failure> {
    let token = verified(app, request.access_token()).await?;
    let medium = medium_of(request.attribute_name())?;
    let purpose = verification(medium);
    let wanted = Wanted { code: Some(purpose), ..Wanted::default() };
    let signed_in = signed_in_with(app, &token, wanted).await?;
    let (pool, user, sent) = (&signed_in.pool, &signed_in.user, signed_in.code.as_ref());
    let (sub, at, origin) = (user.state.sub, app.clock.now(), signed_in.origin(caller));
    let address = address_to_prove(&user.state, medium).unwrap_or_default();
    let hash = codes::hash(&pool.keys, sub, purpose, address, request.code());
    // A caller with a valid token is the user, on any network.
    let guesser = Guesser { network: &[], source: Source::Familiar, is_known: true };
    let guessed = Guessed { sent, by_name: None, hides_users: false, hash, guesser, at };
    let guess = rules::verify_user_attribute(&user.state, medium, &guessed);
    let tried = Tried { kept: Kept::ForUser, sub, purpose, sent, guesser, at };
    let row = tried.row(guess.code);
    // Only a caller who has proved the address learns that another user has it.
    let (client_id, metadata) = (Some(&signed_in.client_id), &Texts::new());
    let change = Change { pool, user, origin: &origin, client_id, metadata, at };
    refuse_taken_names(app, &change, guess.decision.happened()).await?;
    let commit = Commit::about(pool, &origin, at).decided(user, guess.decision).always(row);
    app.store.settle(commit.map(|()| VerifyUserAttributeResponse {})).await
}
