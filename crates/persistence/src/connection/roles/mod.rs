//! Postrider's roles on a PostgreSQL server: making them, granting them, and checking the login that serves.

mod check;
mod prepare;
mod steps;

use sqlx::PgConnection;

pub(super) use self::{
    check::check,
    prepare::{grant_to_login, prepare},
};
use super::{ConnectError, pools::refused};

/// From here on a membership says whether it is inherited and whether it lets change into the role; before, the
/// member says the former, and the latter is always so.
const MEMBERSHIPS_HAVE_OPTIONS: i32 = 160_000;

/// Where the tables are, or go to: as an identifier, quoted if need be.
pub(super) async fn schema(connection: &mut PgConnection) -> Result<String, ConnectError> {
    let schema: Option<String> = sqlx::query_scalar("SELECT quote_ident(current_schema())")
        .fetch_one(connection)
        .await
        .map_err(|error| refused(&error))?;
    schema.ok_or(ConnectError::NoSchema)
}

async fn memberships_have_options(connection: &mut PgConnection) -> Result<bool, ConnectError> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::int")
        .fetch_one(connection)
        .await
        .map_err(|error| refused(&error))?;
    Ok(version >= MEMBERSHIPS_HAVE_OPTIONS)
}
