//! App clients, which are found across pools by their id.

use crate::domain::app_client::AppClient;
use crate::domain::ids::{ClientId, StreamId};
use crate::store::models::{Bound, Counted, Directory, Identifies, Key, Model, Modelled};

/// The limit on the app clients of a pool.
pub const BOUND: Bound = Bound {
    counted: Counted::Clients,
    name: "clients",
    table: "clients",
    refusal: "The user pool has as many app clients as it can have.",
};

impl Modelled for AppClient {
    const MODEL: &'static Model = &Model {
        directory: Some(Directory {
            table: "client_directory",
            id: "client_id",
            constraint: "client_directory_pkey",
            name: "the directory of clients",
        }),
        bound: Some(BOUND),
        ..Model::of::<Self>("clients", "clients", Key::Text("client_id"))
    };

    fn stream(&self) -> StreamId {
        StreamId::client(&self.client_id)
    }
}

impl Identifies for &ClientId {
    type Aggregate = AppClient;

    fn stream(&self) -> StreamId {
        StreamId::client(self)
    }
}
