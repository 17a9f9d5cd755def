//! What must be so before migrations can run, step by step: done only if it is not so already, by several nodes and
//! for several databases of one server at the same time.

use sqlx::{AssertSqlSafe, PgConnection};

use super::super::{ConnectError, pools::refused};

/// How often a step is tried when others do the same to the server's roles.
const MAX_TRIES: u32 = 20;

/// Already there (an object, a row of a catalogue); changed by another at this moment; deadlocked with another.
const RACED: [&str; 4] = ["42710", "23505", "XX000", "40P01"];
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// One thing that must be so.
pub(super) struct Step {
    /// Whether it is, as a condition in SQL. It must not fail if an earlier step was not done.
    pub(super) done: String,
    /// What makes it so.
    pub(super) sql: String,
}

/// Does what is not done. If the account may not, the error names all that is missing.
pub(super) async fn perform(connection: &mut PgConnection, steps: &[Step]) -> Result<(), ConnectError> {
    for step in steps {
        let done = match perform_one(connection, step).await {
            // To grant what is not one's own to grant is a warning only.
            Ok(()) => is_done(connection, step).await,
            Err(error) if is_one_of(&error, &[INSUFFICIENT_PRIVILEGE]) => Ok(false),
            Err(error) => Err(error),
        };
        if !done.map_err(|error| refused(&error))? {
            let sql = missing(connection, steps)
                .await
                .map_err(|error| refused(&error))?;
            return Err(ConnectError::NotPermitted { sql });
        }
    }
    Ok(())
}

async fn perform_one(connection: &mut PgConnection, step: &Step) -> Result<(), sqlx::Error> {
    let mut tries = 1;
    while !is_done(connection, step).await? {
        match sqlx::raw_sql(AssertSqlSafe(step.sql.clone()))
            .execute(&mut *connection)
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if tries < MAX_TRIES && is_one_of(&error, &RACED) => tries += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_one_of(error: &sqlx::Error, codes: &[&str]) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().is_some_and(|code| codes.contains(&code.as_ref())))
}

async fn is_done(connection: &mut PgConnection, step: &Step) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT {}", step.done)))
        .fetch_one(connection)
        .await
}

async fn missing(connection: &mut PgConnection, steps: &[Step]) -> Result<String, sqlx::Error> {
    let mut missing = Vec::new();
    for step in steps {
        if !is_done(connection, step).await? {
            missing.push(format!("{};", step.sql));
        }
    }
    Ok(missing.join("\n"))
}

/// A name as SQL reads it.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL reads it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_end_where_they_end() {
        assert_eq!(identifier(r#"a"b"#), r#""a""b""#);
        assert_eq!(literal("a'b"), "'a''b'");
    }
}
