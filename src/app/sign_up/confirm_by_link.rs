//! Confirmation by the link of an e-mail. It is no operation of the API: a user's browser calls it.

use crate::app::caller::Caller;
use crate::app::sign_up::confirm_sign_up::{Proof, confirm};
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::{ClientId, UserPoolId};
use crate::proto::v1::ConfirmSignUpRequest;

/// Confirms a user by the parameters of their link. The pool is the one in the link's address, and the client must
/// belong to it.
pub async fn confirm_by_link(
    app: &App,
    caller: &Caller,
    pool_id: &UserPoolId,
    request: &ConfirmSignUpRequest,
) -> Result<(), Failure> {
    let client_id = ClientId::new(request.client_id());
    if app.store.pool_of_client(&client_id).await? != *pool_id {
        return Err(Error::no_such_client(client_id).into());
    }
    confirm(app, caller, request, Proof::Link).await.map(drop)
}
