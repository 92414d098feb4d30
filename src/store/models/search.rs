//! Statements about search values.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::domain::ids::UserPoolId;
use crate::domain::user::search::SearchEntry;

/// The attributes, values and ids of entries, as parameters of a statement.
pub fn columns(entries: &[(SearchEntry, String)]) -> (Vec<&'static str>, Vec<&str>, Vec<&str>) {
    let attributes = entries.iter().map(|((attribute, _), _)| attribute.name()).collect();
    let values = entries.iter().map(|((_, value), _)| value.as_str()).collect();
    (attributes, values, entries.iter().map(|(_, owner)| owner.as_str()).collect())
}

/// Runs a statement with search entries of a pool, if there are any.
pub async fn run(
    connection: &mut PgConnection,
    statement: String,
    pool: &UserPoolId,
    entries: &[(SearchEntry, String)],
) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let (attributes, values, owners) = columns(entries);
    let query = sqlx::query(AssertSqlSafe(statement)).bind(pool.as_str());
    query.bind(attributes).bind(values).bind(owners).execute(connection).await?;
    Ok(())
}
