//! A page of a user's devices.

use crate::app::device::shown::shown;
use crate::app::pages::{page, page_size};
use crate::app::{App, Failure};
use crate::domain::error::Error;
use crate::domain::ids::DeviceId;
use crate::proto::v1::DeviceType;
use crate::store::cache::PoolView;
use crate::store::loaded::LoadedUser;
use crate::store::pages::List;

/// The page that a request asks for.
pub struct Asked<'a> {
    /// Cognito's name of the operation, which its page tokens are bound to.
    pub operation: &'a str,
    /// The most devices of the page.
    pub limit: Option<i32>,
    /// The token of the page.
    pub token: Option<&'a str>,
}

/// The devices of a page in the order of their ids, and the token of the next page.
pub async fn listed(
    app: &App,
    pool: &PoolView,
    user: &LoadedUser,
    asked: Asked<'_>,
) -> Result<(Vec<DeviceType>, Option<String>), Failure> {
    let sub = user.state.sub.to_string();
    let list = List { pool: Some(pool), operation: asked.operation, filter: &sub };
    let after = app.store.page_begins(list, asked.token)?.as_deref().and_then(DeviceId::parse);
    let size = page_size(asked.limit);
    let devices = app.store.list_devices(&pool.id, user.state.sub, after, size + 1).await?;
    let (devices, token) = page(&app.store, list, devices, size, |used| used.device.state.id.to_string());
    let devices = devices.iter().map(|used| shown(pool, user, used)).collect::<Result<_, Error>>()?;
    Ok((devices, token))
}
