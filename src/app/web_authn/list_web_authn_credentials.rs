//! ListWebAuthnCredentials.

use crate::app::caller::Caller;
use crate::app::pages::page;
use crate::app::web_authn::owner::owner;
use crate::app::web_authn::sealed;
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::user::passkeys::Passkey;
use crate::domain::web_authn::encoded;
use crate::proto::v1::{
    ListWebAuthnCredentialsRequest, ListWebAuthnCredentialsResponse, WebAuthnCredentialDescription,
};
use crate::store::cache::PoolView;
use crate::store::loaded::LoadedUser;
use crate::store::pages::List;

const LARGEST_PAGE: i32 = 20;

/// Lists the passkeys of the access token's user, the oldest first.
pub async fn list_web_authn_credentials(
    app: &App,
    _: &Caller,
    request: &ListWebAuthnCredentialsRequest,
) -> Result<ListWebAuthnCredentialsResponse, Failure> {
    let signed_in = owner(app, request.access_token()).await?;
    let (pool, user) = (&*signed_in.pool, &signed_in.user);
    let sub = user.state.sub.to_string();
    let list = List { pool: Some(pool), operation: "ListWebAuthnCredentials", filter: &sub };
    let begins = app.store.page_begins(list, request.next_token.as_deref())?;
    let size = i64::from(request.max_results.filter(|size| *size > 0).unwrap_or(LARGEST_PAGE));
    let mut passkeys: Vec<_> = user.state.passkeys.iter().collect();
    passkeys.sort_by_key(|passkey| place(passkey));
    passkeys.retain(|passkey| begins.as_ref().is_none_or(|begins| place(passkey) > *begins));
    let (passkeys, next_token) = page(&app.store, list, passkeys, size, |passkey| place(passkey));
    let credentials = passkeys.into_iter().map(|passkey| shown(pool, user, passkey)).collect::<Result<_, _>>()?;
    Ok(ListWebAuthnCredentialsResponse { credentials, next_token })
}

/// The place of a passkey in the list, which sorts as text.
fn place(passkey: &Passkey) -> String {
    format!("{:020} {}", passkey.created_at.0, passkey.id)
}

fn shown(pool: &PoolView, user: &LoadedUser, passkey: &Passkey) -> Result<WebAuthnCredentialDescription, Error> {
    let credential = sealed::open(&pool.id, user, passkey)?;
    Ok(WebAuthnCredentialDescription {
        credential_id: Some(encoded(&credential.id)),
        friendly_credential_name: Some(credential.name),
        relying_party_id: Some(credential.relying_party_id),
        authenticator_attachment: credential.attachment,
        authenticator_transports: credential.transports,
        created_at: Some(passkey.created_at.into()),
    })
}
