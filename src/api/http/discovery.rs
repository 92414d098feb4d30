//! The key set and the OpenID configuration of a pool.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::api::status;
use crate::app::App;
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::UserPool;
use crate::store::read::Wanted;
use crate::tokens::key_set;

/// `GET /<user pool id>/.well-known/jwks.json`.
pub async fn jwks(app: State<Arc<App>>, id: Path<String>) -> Response {
    of_pool(app, id, key_set::key_set).await
}

/// `GET /<user pool id>/.well-known/openid-configuration`.
pub async fn openid_configuration(app: State<Arc<App>>, id: Path<String>) -> Response {
    of_pool(app, id, key_set::openid_configuration).await
}

async fn of_pool(State(app): State<Arc<App>>, Path(id): Path<String>, show: fn(&UserPool) -> Value) -> Response {
    let found = match UserPoolId::parse(&id) {
        Some(id) => app.store.read(&id, None, Wanted::default()).await.map_err(Error::from),
        None => Err(Error::no_such_pool(id)),
    };
    match found {
        Ok(found) => ([(header::CACHE_CONTROL, "public, max-age=300")], Json(show(&found.pool.state))).into_response(),
        Err(error) => {
            let status = status::http_status(error.exception);
            let status = if status == StatusCode::BAD_REQUEST { StatusCode::NOT_FOUND } else { status };
            (status, Json(json!({ "message": error.message }))).into_response()
        }
    }
}
