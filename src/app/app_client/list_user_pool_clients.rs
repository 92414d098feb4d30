//! ListUserPoolClients.

use crate::app::caller::Caller;
use crate::app::pages::{page, page_size};
use crate::app::{App, Failure};
use crate::domain::app_client::AppClient;
use crate::domain::ids::UserPoolId;
use crate::proto::v1::{ListUserPoolClientsRequest, ListUserPoolClientsResponse, UserPoolClientDescription};
use crate::store::pages::List;
use crate::store::read::Wanted;

/// Lists the clients of a pool.
pub async fn list_user_pool_clients(
    app: &App,
    _: &Caller,
    request: &ListUserPoolClientsRequest,
) -> Result<ListUserPoolClientsResponse, Failure> {
    let id = UserPoolId::new(request.user_pool_id());
    let pool = app.store.read(&id, None, Wanted::default()).await?.pool;
    let filter = request.client_type();
    let list = List { pool: Some(&pool), operation: "ListUserPoolClients", filter };
    let after = app.store.page_begins(list, request.next_token.as_deref())?;
    let limit = page_size(request.max_results);
    if filter == "DCR" {
        // Dynamic client registration is not implemented, so there are no such clients.
        return Ok(ListUserPoolClientsResponse::default());
    }
    let clients = app.store.list_clients(&id, after.as_deref(), limit + 1).await?;
    let (clients, next_token) = page(&app.store, list, clients, limit, |client| client.client_id.to_string());
    let user_pool_clients = clients.into_iter().map(|client| description(&id, client)).collect();
    Ok(ListUserPoolClientsResponse { user_pool_clients, next_token })
}

fn description(pool: &UserPoolId, client: AppClient) -> UserPoolClientDescription {
    UserPoolClientDescription {
        client_id: Some(client.client_id.to_string()),
        user_pool_id: Some(pool.to_string()),
        client_name: Some(client.settings.client_name),
    }
}
