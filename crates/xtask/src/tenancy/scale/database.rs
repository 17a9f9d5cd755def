//! What PostgreSQL itself, asked as its superuser, says is left of a tenant.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use crate::postgres::{Connection, Postgres};

/// The table that says that a tenant was erased, and keeps its id for that.
pub(super) const ERASURES: &str = "erasures";

/// Every table that has a column for the tenant, partitions too.
const TABLES: &str = "select c.table_name, c.column_name from information_schema.columns c \
    join information_schema.tables t using (table_schema, table_name) \
    where t.table_type = 'BASE TABLE' and c.column_name in ('tenant', 'tenant_id') and c.data_type = 'uuid' \
      and c.table_schema not in ('pg_catalog', 'information_schema') order by 1";

/// Rows of the tenant by table; tables without any are in it too.
pub(super) fn rows(server: &Postgres, database: &str, tenant: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let uuid = uuid(tenant).with_context(|| format!("not a public id: {tenant}"))?;
    let port = server.port().context("the server is not ours to ask")?;
    let mut connection = Connection::open(port, database)?;
    let mut all = BTreeMap::new();
    let mut places = connection.query(TABLES)?;
    places.push(["tenants", "id"].map(|name| Some(name.to_owned())).to_vec());
    for place in places {
        let [Some(table), Some(column)] = place.as_slice() else {
            bail!("a table without a name");
        };
        let count = format!("select count(*) from \"{table}\" where \"{column}\" = '{uuid}'");
        all.insert(table.clone(), number(&connection.query(&count)?)?);
    }
    Ok(all)
}

fn number(rows: &[crate::postgres::Row]) -> anyhow::Result<u64> {
    let cell = rows.first().and_then(|row| row.first()).cloned().flatten();
    Ok(cell.context("no count")?.parse()?)
}

/// An error unless nothing is left but that it was erased.
pub(super) fn judge(rows: &BTreeMap<String, u64>) -> anyhow::Result<()> {
    let left: BTreeMap<_, _> = rows
        .iter()
        .filter(|(table, count)| **count != u64::from(*table == ERASURES))
        .collect();
    ensure!(
        left.is_empty(),
        "rows that should not be there (or should): {left:?}"
    );
    Ok(())
}

/// The UUID of a public id: a prefix, and 26 digits of Crockford's base 32 in lower case.
fn uuid(public: &str) -> Option<String> {
    const DIGITS: &str = "0123456789abcdefghjkmnpqrstvwxyz";
    let (_, digits) = public.rsplit_once('_')?;
    if digits.len() != 26 {
        return None;
    }
    let value = digits.chars().try_fold(0_u128, |value, digit| {
        let digit = u128::try_from(DIGITS.find(digit)?).ok()?;
        value.checked_mul(32)?.checked_add(digit)
    })?;
    let hex = format!("{value:032x}");
    let ends = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    Some(ends.map(|(from, to)| &hex[from..to]).join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_ids_are_uuids() {
        // The example of the TypeID specification.
        assert_eq!(
            uuid("ten_01h455vb4pex5vsknk084sn02q").unwrap(),
            "01890a5d-ac96-774b-bcce-b302099a8057"
        );
        assert_eq!(uuid("ten_01h455vb4pex5vsknk084sn02"), None);
        assert_eq!(uuid("ten_81h455vb4pex5vsknk084sn02q"), None, "more than 128 bits");
        assert_eq!(uuid("01h455vb4pex5vsknk084sn02q"), None);
    }

    #[test]
    fn only_the_erasure_itself_may_stay() {
        let rows = |pairs: &[(&str, u64)]| {
            judge(
                &pairs
                    .iter()
                    .map(|(table, count)| ((*table).to_owned(), *count))
                    .collect(),
            )
        };
        assert!(rows(&[("messages", 0), (ERASURES, 1)]).is_ok());
        assert!(rows(&[("messages", 1), (ERASURES, 1)]).is_err());
        assert!(rows(&[("messages", 0), (ERASURES, 0)]).is_err());
    }
}
