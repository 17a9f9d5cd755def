//! Making the roles, and granting them to the login that serves.

use postrider_migrations::roles::{ADMIN, ALL, API, ENGINE, HANDED_OVER, IDENTITY};
use sqlx::PgConnection;

use super::{
    super::{ConnectError, pools::refused},
    memberships_have_options, schema,
    steps::{Step, identifier, literal, perform},
};

/// Makes the roles, and lets their owner make and own tables here. As the account that is connected, which answers
/// the schema of the tables.
///
/// Roles belong to the server: others may do the same for another database at this moment.
pub(in crate::connection) async fn prepare(connection: &mut PgConnection) -> Result<String, ConnectError> {
    let schema = schema(connection).await?;
    let account: String = sqlx::query_scalar("SELECT current_user::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    let options = memberships_have_options(connection).await?;
    let mut steps: Vec<Step> = ALL.iter().map(|role| exists(role)).collect();
    steps.push(may_become(&account, ADMIN, options));
    let of_schema = |right| {
        format!(
            "has_schema_privilege(oid, {}::regnamespace, '{right}')",
            literal(&schema)
        )
    };
    let as_owner = as_owner_of_schema(connection, &schema).await?;
    let as_owner = |grant: String| match &as_owner {
        Some(owner) => format!("SET ROLE {owner}; {grant}; RESET ROLE"),
        None => grant,
    };
    steps.push(Step {
        done: of_role(
            ADMIN,
            &format!("{} AND {}", of_schema("USAGE"), of_schema("CREATE")),
        ),
        sql: as_owner(format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {ADMIN}")),
    });
    steps.extend([API, IDENTITY, ENGINE].map(|role| Step {
        done: of_role(role, &of_schema("USAGE")),
        sql: as_owner(format!("GRANT USAGE ON SCHEMA {schema} TO {role}")),
    }));
    steps.extend(HANDED_OVER.map(|table| handed_over(&schema, table)));
    perform(connection, &steps).await?;
    Ok(schema)
}

/// Lets `login` become each role, and have the rights of none before it does. A superuser is left alone: it is
/// refused when it wants to serve.
pub(in crate::connection) async fn grant_to_login(
    connection: &mut PgConnection,
    login: &str,
) -> Result<(), ConnectError> {
    let superuser: Option<bool> = sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = $1")
        .bind(login)
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| refused(&error))?;
    let name = identifier(login);
    match superuser {
        Some(true) => return Ok(()),
        Some(false) => {}
        None => {
            return Err(ConnectError::NotPermitted {
                sql: format!("CREATE ROLE {name} LOGIN NOINHERIT PASSWORD '...';"),
            });
        }
    }
    let options = memberships_have_options(connection).await?;
    let mut steps = Vec::new();
    if !options {
        // First, so that the rights are never inherited, not for a moment.
        steps.push(Step {
            done: format!(
                "EXISTS (SELECT FROM pg_roles WHERE rolname = {} AND NOT rolinherit)",
                literal(login)
            ),
            sql: format!("ALTER ROLE {name} NOINHERIT"),
        });
    }
    steps.extend(ALL.map(|role| {
        let may_become = may_become(login, role, options);
        let inherits = of_role(role, &format!("pg_has_role({}, oid, 'USAGE')", literal(login)));
        Step {
            done: format!("{} AND NOT {inherits}", may_become.done),
            sql: may_become.sql,
        }
    }));
    perform(connection, &steps).await
}

/// The schema's owner, if the account may become it and has not its rights without: so is the database's owner who
/// inherits nothing.
async fn as_owner_of_schema(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<Option<String>, ConnectError> {
    let owner: Option<Option<String>> = sqlx::query_scalar(
        "SELECT quote_ident(pg_get_userbyid(nspowner)) FROM pg_namespace WHERE oid = $1::regnamespace
            AND pg_has_role(nspowner, 'MEMBER') AND NOT pg_has_role(nspowner, 'USAGE')",
    )
    .bind(schema)
    .fetch_optional(connection)
    .await
    .map_err(|error| refused(&error))?;
    Ok(owner.flatten())
}

fn exists(role: &str) -> Step {
    Step {
        done: of_role(role, "true"),
        sql: format!("CREATE ROLE {role} NOLOGIN NOINHERIT"),
    }
}

/// `condition` holds of the role, whose `oid` it may name. False if there is no such role.
fn of_role(role: &str, condition: &str) -> String {
    format!("EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}' AND {condition})")
}

fn may_become(member: &str, role: &str, options: bool) -> Step {
    let (right, with) = if options {
        ("SET", " WITH INHERIT FALSE, SET TRUE")
    } else {
        ("MEMBER", "")
    };
    Step {
        done: of_role(role, &format!("pg_has_role({}, oid, '{right}')", literal(member))),
        sql: format!("GRANT {role} TO {}{with}", identifier(member)),
    }
}

fn handed_over(schema: &str, table: &str) -> Step {
    Step {
        done: format!(
            "NOT EXISTS (SELECT FROM pg_class WHERE relname = '{table}' AND relkind IN ('r', 'p')
                AND relnamespace = {}::regnamespace AND pg_get_userbyid(relowner) <> '{ADMIN}')",
            literal(schema)
        ),
        sql: format!("ALTER TABLE {schema}.{table} OWNER TO {ADMIN}"),
    }
}
