//! A pool with a given id.

use std::sync::Arc;

use crate::app::attempts::settled;
use crate::app::caller::Caller;
use crate::app::seed::{COLLISION, refused_id};
use crate::app::user_pool::add_custom_attributes::add_custom_attributes;
use crate::app::user_pool::create_user_pool;
use crate::app::user_pool::update_user_pool::update_user_pool;
use crate::app::{App, Failure};
use crate::domain::attributes;
use crate::domain::error::Error;
use crate::domain::ids::UserPoolId;
use crate::domain::user_pool::UserPool;
use crate::proto::v1::{
    AddCustomAttributesRequest, CreateUserPoolRequest, SchemaAttributeType, UpdateUserPoolRequest,
    UsernameConfigurationType,
};
use crate::store::cache::PoolView;
use crate::store::error::StoreError;
use crate::store::read::Wanted;

/// A pool as the seed describes it.
pub struct SeededUserPool {
    /// The pool's id, as the seed gives it.
    pub id: UserPoolId,
    /// The request that creates the pool.
    pub create: CreateUserPoolRequest,
    /// The request that changes an existing pool to the same settings.
    pub update: UpdateUserPoolRequest,
}

/// Creates the pool, or changes settings that differ, as UpdateUserPool does, and adds new attributes.
pub async fn seed_user_pool(app: &App, caller: &Caller, wanted: &SeededUserPool) -> Result<(), Error> {
    let found = settled(COLLISION, || find_or_create(app, caller, wanted))
        .await
        .map_err(|error| refused_id(error, "The id of the pool"))?;
    let Some(pool) = found else { return Ok(()) };
    refuse_other_names(&pool.state, &wanted.create)?;
    let added = new_attributes(&pool.state, &wanted.create.schema)?;
    settled(COLLISION, || update_user_pool(app, caller, &wanted.update)).await?;
    if !added.is_empty() {
        let user_pool_id = Some(wanted.id.to_string());
        let request = AddCustomAttributesRequest { user_pool_id, custom_attributes: added };
        settled(COLLISION, || add_custom_attributes(app, caller, &request)).await?;
    }
    Ok(())
}

/// The pool, if it existed already.
async fn find_or_create(app: &App, caller: &Caller, wanted: &SeededUserPool) -> Result<Option<Arc<PoolView>>, Failure> {
    match app.store.read(&wanted.id, None, Wanted::default()).await {
        Ok(found) => Ok(Some(found.pool)),
        Err(StoreError::NotFound(_)) => {
            let prepared = create_user_pool::prepare_with(app, wanted.id.clone()).await?;
            create_user_pool::create_user_pool(app, caller, &wanted.create, &prepared).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The rules for user names of an existing pool can't be changed.
fn refuse_other_names(pool: &UserPool, wanted: &CreateUserPoolRequest) -> Result<(), Error> {
    let settings = &pool.settings;
    let differs = [
        (settings.alias_attributes != wanted.alias_attributes, "AliasAttributes"),
        (settings.username_attributes != wanted.username_attributes, "UsernameAttributes"),
        (
            is_case_sensitive(settings.username_configuration) != is_case_sensitive(wanted.username_configuration),
            "UsernameConfiguration",
        ),
    ];
    match differs.into_iter().find(|(differs, _)| *differs) {
        Some((_, name)) => Err(Error::invalid_parameter(format!("{name} of a pool that is there can't be changed."))),
        None => Ok(()),
    }
}

fn is_case_sensitive(configuration: Option<UsernameConfigurationType>) -> bool {
    configuration.is_none_or(|configuration| configuration.case_sensitive())
}

/// The custom attributes that the pool does not have yet. Existing ones can't be changed.
fn new_attributes(pool: &UserPool, asked: &[SchemaAttributeType]) -> Result<Vec<SchemaAttributeType>, Error> {
    let mut added = Vec::new();
    for attribute in asked {
        let schema = attributes::schema::schema(std::slice::from_ref(attribute), u32::MAX)?;
        // Requests name a custom attribute without its prefix.
        let is_asked = |known: &&SchemaAttributeType| known.name().rsplit(':').next() == attribute.name.as_deref();
        let Some(wanted) = schema.iter().rfind(is_asked) else { continue };
        match pool.schema.iter().find(|known| known.name == wanted.name) {
            None => added.push(attribute.clone()),
            Some(known) if known == wanted => {}
            Some(_) => {
                let message =
                    format!("Schema: the attribute {} of a pool that is there can't be changed.", wanted.name());
                return Err(Error::invalid_parameter(message));
            }
        }
    }
    Ok(added)
}
