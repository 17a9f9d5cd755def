//! The endpoints of applications, as the engine needs them.

use std::{collections::HashMap, sync::Arc};

use postrider_application::ports::{DeliverableEndpoint, EndpointSet, StoreError};
use postrider_domain::{ApplicationId, EndpointId, TenantId};
use sea_orm::{ConnectionTrait as _, FromQueryResult, QueryResult};
use uuid::Uuid;

use super::{EndpointSecrets, row};
use crate::{
    SqlStore,
    batch::{pairs, pairs_postgres, pairs_sqlite},
    codec::{StoredWaits, read_filter},
    connection::Scope,
    error::OrStoreError as _,
    stored::read_version,
};

/// One row for each endpoint, and one without for an application that has none; each with the version of them all.
macro_rules! endpoints_of_applications {
    ($pairs:expr, $then:literal) => {
        concat!(
            "SELECT a.id AS application, a.endpoints_version, e.id IS NOT NULL AS present, e.tenant, e.app, e.id, e.uid, e.url, e.description,
                e.event_types, e.channels, e.secret_kind, e.sealed_secret, e.sealed_old_secrets, e.headers,
                e.sealed_headers, e.retry_waits, e.timeout_ms, e.metadata,
                e.disabled_why, e.disabled_at, e.created_at, e.version
             FROM ",
            $pairs,
            $then,
            " JOIN applications a ON a.tenant = pair.one AND a.id = pair.two
             JOIN tenants t ON t.id = a.tenant AND t.status <> 'deleting'
             LEFT JOIN endpoints e ON e.tenant = a.tenant AND e.app = a.id
             ORDER BY e.id"
        )
    };
}

#[derive(FromQueryResult)]
struct Of {
    application: Uuid,
    endpoints_version: i64,
    present: bool,
}

impl SqlStore {
    /// All endpoints of each application that exists, except of tenants that are being deleted.
    pub(crate) async fn endpoints_of(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<EndpointSet>>, StoreError> {
        let dialect = self.database.dialect();
        let keys: Vec<_> = applications
            .iter()
            .map(|(tenant, app)| (tenant.as_uuid(), app.as_uuid()))
            .collect();
        let sql = dialect.choose(
            endpoints_of_applications!(pairs_postgres!(), ""),
            // The pairs first: they are few, and the tables are reached by their keys.
            endpoints_of_applications!(pairs_sqlite!(), " CROSS"),
        );
        let statement = dialect.exactly(sql, pairs(dialect, &keys));
        let rows = self
            .database
            .read(Scope::Engine)
            .await?
            .query_all_raw(statement)
            .await
            .or_store_error()?;
        let mut found: HashMap<ApplicationId, EndpointSet> = HashMap::new();
        for row in &rows {
            let of = Of::from_query_result(row, "").or_store_error()?;
            let theirs = found.entry(ApplicationId::from_uuid(of.application));
            let theirs = theirs.or_insert_with(|| EndpointSet {
                version: of.endpoints_version,
                endpoints: Vec::new(),
            });
            if of.present {
                theirs.endpoints.push(Arc::new(deliverable(row, &self.secrets)?));
            }
        }
        Ok(found
            .into_iter()
            .map(|(application, endpoints)| (application, Arc::new(endpoints)))
            .collect())
    }
}

/// What the engine needs of an endpoint. What cannot be read makes this endpoint's attempts fail, which is seen;
/// the others of the batch are not held up.
fn deliverable(row: &QueryResult, secrets: &EndpointSecrets) -> Result<DeliverableEndpoint, StoreError> {
    let row = row::Model::from_query_result(row, "").or_store_error()?;
    let id = EndpointId::from_uuid(row.id);
    let (ring, headers) = (row.secrets(secrets), row.headers(secrets));
    if ring.is_err() || headers.is_err() {
        tracing::error!(
            endpoint = %id,
            "a stored signing secret or header does not open: wrong master key, or altered"
        );
    }
    let unreadable = |error: StoreError| {
        tracing::error!(endpoint = %id, %error, "the stored endpoint cannot be read");
    };
    let version = read_version(row.version).map_err(unreadable);
    let enabled = row.disabled_at.is_none();
    let (url, timeout) = (row.url().map_err(unreadable), row.timeout().map_err(unreadable));
    let filter = read_filter(&row.event_types, &row.channels).map_err(unreadable);
    let waits = row
        .retry_waits
        .map(StoredWaits::read)
        .transpose()
        .map_err(unreadable);
    let readable = version.is_ok() && filter.is_ok() && timeout.is_ok() && waits.is_ok() && headers.is_ok();
    Ok(DeliverableEndpoint {
        id,
        version: version.unwrap_or_default(),
        url: url.ok().filter(|_| readable),
        filter: filter.unwrap_or_default(),
        secrets: ring.map(|ring| ring.all().to_vec()).unwrap_or_default(),
        headers: headers.ok().filter(|headers| !headers.is_empty()).map(Arc::new),
        timeout: timeout.unwrap_or_default(),
        enabled,
        retry_schedule: waits.unwrap_or_default(),
    })
}
