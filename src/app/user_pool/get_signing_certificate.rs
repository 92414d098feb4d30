//! GetSigningCertificate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::app::caller::Caller;
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::TokenUse;
use crate::proto::v1::{GetSigningCertificateRequest, GetSigningCertificateResponse};
use crate::store::read::Wanted;
use crate::tokens::certificate::certificate;

/// Shows the certificate of the pool's current signing key.
pub async fn get_signing_certificate(
    app: &App,
    _: &Caller,
    request: &GetSigningCertificateRequest,
) -> Result<GetSigningCertificateResponse, Failure> {
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let key = pool.state.signing_key(TokenUse::Id, app.clock.now());
    let key = key.ok_or_else(|| Error::internal("a pool without a signing key"))?;
    let certificate = certificate(&app.signers, &pool, key)?;
    Ok(GetSigningCertificateResponse { certificate: Some(STANDARD.encode(certificate)) })
}
