//! Whether a login may serve.

use postrider_migrations::roles::{ADMIN, ALL, HANDED_OVER};
use sqlx::PgConnection;

use super::{
    super::{
        ConnectError, PostgresOptions, TooMuch,
        pools::{postgres_alone, postgres_connection, refused},
    },
    memberships_have_options, schema,
};

/// Refuses a login that row-level security does not bind, or that cannot become each role. Answers the schema of the
/// tables.
pub(in crate::connection) async fn check(options: &PostgresOptions) -> Result<String, ConnectError> {
    let pool = postgres_alone(options, postgres_connection(&options.url)?).await?;
    let checked = async {
        let mut connection = pool.acquire().await.map_err(|error| refused(&error))?;
        check_login(&mut connection).await?;
        schema(&mut connection).await
    };
    let checked = checked.await;
    pool.close().await;
    checked
}

async fn check_login(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let (login, superuser, bypasses, owns): (String, bool, bool, Option<String>) = sqlx::query_as(
        "SELECT session_user::text, rolsuper, rolbypassrls,
            (SELECT min(relname::text) FROM pg_class WHERE relname = ANY ($1) AND relkind IN ('r', 'p')
                AND relnamespace = current_schema()::regnamespace AND pg_get_userbyid(relowner) <> $2
                AND pg_has_role(session_user, relowner, 'USAGE'))
         FROM pg_roles WHERE rolname = session_user",
    )
    .bind(HANDED_OVER.as_slice())
    .bind(ADMIN)
    .fetch_one(&mut *connection)
    .await
    .map_err(|error| refused(&error))?;
    let too_much = if superuser {
        Some(TooMuch::Superuser)
    } else if bypasses {
        Some(TooMuch::BypassesRowSecurity)
    } else {
        owns.map(TooMuch::Owns)
    };
    match too_much {
        Some(what) => Err(ConnectError::TooPowerful { login, what }),
        None => check_roles(connection, login).await,
    }
}

async fn check_roles(connection: &mut PgConnection, login: String) -> Result<(), ConnectError> {
    let right = if memberships_have_options(connection).await? {
        "SET"
    } else {
        "MEMBER"
    };
    let memberships: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT rolname::text, pg_has_role(session_user, oid, 'USAGE'), pg_has_role(session_user, oid, $2)
         FROM pg_roles WHERE rolname = ANY ($1)",
    )
    .bind(ALL.as_slice())
    .bind(right)
    .fetch_all(connection)
    .await
    .map_err(|error| refused(&error))?;
    for role in ALL {
        let Some((_, inherits, true)) = memberships.iter().find(|(name, ..)| name == role) else {
            return Err(ConnectError::NoRole { login, role });
        };
        if *inherits {
            let what = TooMuch::Inherits(role);
            return Err(ConnectError::TooPowerful { login, what });
        }
    }
    Ok(())
}
