//! The few words in which the two databases differ, so that a table is written once.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// What stands for what: the word in our statements, PostgreSQL's, SQLite's.
///
/// All times are microseconds since the Unix epoch (`@time`), on both. SQLite's tables are STRICT: a value of
/// the wrong type is an error there too. `@keyed` is for tables that are only ever reached by their key, which
/// SQLite then keeps in the key's own tree instead of beside it.
const WORDS: [(&str, &str, &str); 11] = [
    ("@uuid", "uuid", "BLOB"),
    ("@bytes", "bytea", "BLOB"),
    ("@json", "jsonb", "TEXT"),
    ("@text", "text", "TEXT"),
    ("@time", "bigint", "INTEGER"),
    ("@big", "bigint", "INTEGER"),
    ("@int", "integer", "INTEGER"),
    ("@bool", "boolean", "INTEGER"),
    ("@false", "false", "0"),
    ("@rows", "", "STRICT"),
    ("@keyed", "", "STRICT, WITHOUT ROWID"),
];

/// Runs statements that are the same on both databases but for [`WORDS`].
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let postgres = is_postgres(manager);
    for statement in statements {
        let sql = WORDS
            .iter()
            .fold((*statement).to_owned(), |sql, (word, on_postgres, on_sqlite)| {
                sql.replace(word, if postgres { on_postgres } else { on_sqlite })
            });
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Whether it is PostgreSQL, for what differs by nature.
pub(crate) fn is_postgres(manager: &SchemaManager<'_>) -> bool {
    manager.get_database_backend() == DbBackend::Postgres
}

/// Writes the migration of a file: its statements, all or none of them on both databases.
macro_rules! migration {
    ($manager:ident => $statements:expr) => {
        /// See the head of the file.
        #[derive(sea_orm_migration::prelude::DeriveMigrationName)]
        pub(crate) struct Migration;

        #[sea_orm_migration::async_trait::async_trait]
        impl sea_orm_migration::MigrationTrait for Migration {
            async fn up(
                &self,
                manager: &sea_orm_migration::SchemaManager,
            ) -> Result<(), sea_orm_migration::DbErr> {
                let $manager = manager;
                $crate::ddl::run(manager, &$statements).await
            }

            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }
        }
    };
    ($($statement:expr),+ $(,)?) => {
        $crate::ddl::migration!(_manager => [$($statement),+]);
    };
}
pub(crate) use migration;
