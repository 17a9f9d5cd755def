//! Rows for every table that has a tenant, without knowing the tables.

use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// A table of tenants' rows, and the columns that a row cannot go without.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// Which column says whose a row is.
    pub(super) tenant: &'static str,
    /// What a tenant may change, if anything: the column above, or else one of the few that it may.
    pub(super) changed: Option<String>,
    columns: Vec<(String, String)>,
}

impl Table {
    /// A row of `tenant`. Every other id in it is `id`: so rows of the same id refer to each other.
    pub(super) fn insert(&self, tenant: Uuid, id: Uuid) -> String {
        let value = |(name, kind): &(String, String)| match kind.as_str() {
            "uuid" if name == self.tenant => format!("'{tenant}'"),
            // Of bytes it is the text.
            "uuid" | "bytea" => format!("'{id}'"),
            "text" => format!("'text of {id}'"),
            "json" | "jsonb" => "'[]'".to_owned(),
            "boolean" => "false".to_owned(),
            _ => "1".to_owned(),
        };
        let values: Vec<String> = self.columns.iter().map(value).collect();
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.name,
            names.join(", "),
            values.join(", ")
        )
    }
}

/// All tables of tenants' rows, with what each row must have: tenants themselves, and what has a tenant.
pub(super) async fn tenants_tables(outside: &PgPool) -> Vec<Table> {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT c.table_name::text, c.column_name::text, c.data_type::text FROM information_schema.columns c
         WHERE c.table_schema = 'public' AND NOT EXISTS (SELECT FROM pg_class p WHERE p.relispartition
                 AND p.relname = c.table_name AND p.relnamespace = 'public'::regnamespace)
             AND (c.column_name = 'tenant'
             OR c.is_nullable = 'NO' AND c.column_default IS NULL AND c.is_identity = 'NO')
         ORDER BY c.table_name, c.ordinal_position",
    )
    .fetch_all(outside)
    .await
    .unwrap();
    let mut tables: Vec<Table> = Vec::new();
    for (name, column, kind) in columns {
        if tables.last().is_none_or(|table| table.name != name) {
            let tenant = if name == "tenants" { "id" } else { "tenant" };
            let columns = Vec::new();
            tables.push(Table {
                name: name.clone(),
                tenant,
                changed: changed(outside, &name, tenant).await,
                columns,
            });
        }
        tables.last_mut().unwrap().columns.push((column, kind));
    }
    tables.retain(|table| table.columns.iter().any(|(column, _)| column == table.tenant));
    tables
}

async fn changed(outside: &PgPool, table: &str, tenant: &str) -> Option<String> {
    sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
             AND has_column_privilege('postrider_api', attrelid, attnum, 'UPDATE')
         ORDER BY attname <> $2, attnum LIMIT 1",
    )
    .bind(table)
    .bind(tenant)
    .fetch_optional(outside)
    .await
    .unwrap()
}

/// Two tenants, and a row of each in every table.
pub(super) struct Filled {
    pub(super) tables: Vec<Table>,
    pub(super) tenant: Uuid,
    pub(super) other: Uuid,
    /// A person with a place in each; the id is the tenant's, too.
    pub(super) people: [Uuid; 2],
}

impl Filled {
    pub(super) async fn fill(outside: &PgPool) -> Self {
        let tables = tenants_tables(outside).await;
        let ids = [Uuid::from_u128(0xa), Uuid::from_u128(0xb)];
        for id in ids {
            let person = format!(
                "INSERT INTO users (id, email, name, password_hash, created_at, version)
                 VALUES ('{id}', '{id}@example.com', 'Ada', 'hash', 1, 1)"
            );
            sqlx::query(AssertSqlSafe(person)).execute(outside).await.unwrap();
            // In whatever order foreign keys allow.
            let mut left: Vec<&Table> = tables.iter().collect();
            while !left.is_empty() {
                let before = left.len();
                let mut refused = Vec::new();
                for table in left {
                    let inserted = sqlx::query(AssertSqlSafe(table.insert(id, id)))
                        .execute(outside)
                        .await;
                    match inserted {
                        Ok(_) => {}
                        Err(error) => refused.push((table, error)),
                    }
                }
                assert!(refused.len() < before, "no row for {refused:?}");
                left = refused.into_iter().map(|(table, _)| table).collect();
            }
        }
        let [tenant, other] = ids;
        Self {
            tables,
            tenant,
            other,
            people: ids,
        }
    }
}
