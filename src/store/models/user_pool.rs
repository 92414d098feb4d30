//! User pools. Each has one stream, and its end starts the purge of everything else.

use crate::domain::ids::StreamId;
use crate::domain::user_pool::UserPool;
use crate::store::models::{End, Key, Model, Modelled};

impl Modelled for UserPool {
    const MODEL: &'static Model = &Model {
        end: End::With(&[
            "delete from keys where user_pool_id = $1 and owner = ''",
            "insert into purges (user_pool_id, next_at) values ($1, now())",
        ]),
        ..Model::of::<Self>("pool", "pools", Key::Pool)
    };

    fn stream(&self) -> StreamId {
        StreamId::pool()
    }
}
