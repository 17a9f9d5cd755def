use std::{sync::Arc, time::Duration};

use postrider_domain::access::Permission;

use crate::{
    Error, ErrorCode, Ports, Result,
    access::{OnTenant, TenantScope},
    mediator::{Handles, Request},
    ports::{ExportCursor, ExportRow, Store, TenantExport, UnitOfWork as _},
};

/// The most rows of one piece of an export.
const ROWS_AT_ONCE: u32 = 1_000;

/// Exports everything that the tenant owns, secrets excepted. Reading so much is itself an entry of the audit log.
#[derive(Debug)]
pub struct ExportTenant;

impl Request for ExportTenant {
    type Output = TenantExporter;
    type Access = OnTenant;
    const NAME: &'static str = "tenant.export";

    fn access(&self) -> OnTenant {
        OnTenant(Permission::TenantExport)
    }
}

/// Reads an export piece by piece, as fast as it is taken. It shows each row as it is when it is read: what
/// changes meanwhile may be seen before or after.
pub struct TenantExporter {
    source: Arc<dyn TenantExport>,
    scope: TenantScope,
    position: Position,
    _turn: Arc<()>,
}

enum Position {
    Start,
    After(ExportCursor),
    End,
}

impl TenantExporter {
    /// Whose export it is.
    pub const fn scope(&self) -> &TenantScope {
        &self.scope
    }

    /// The next rows; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<ExportRow>>> {
        let after = match &self.position {
            Position::Start => None,
            Position::After(cursor) => Some(cursor.clone()),
            Position::End => return Ok(None),
        };
        let page = self.source.export_page(&self.scope, after, ROWS_AT_ONCE).await?;
        self.position = page.next.map_or(Position::End, Position::After);
        Ok(Some(page.rows))
    }
}

/// The most exports that a node makes at once: each keeps connections of the API's pool busy.
pub const EXPORTS_AT_ONCE: usize = 2;

/// Serves [`ExportTenant`].
pub struct ExportTenantHandler<S> {
    store: S,
    source: Arc<dyn TenantExport>,
    turns: Arc<()>,
}

impl<S: Clone> ExportTenantHandler<S> {
    pub(crate) fn new(ports: &Ports<S>) -> Self {
        Self {
            store: ports.store.clone(),
            source: ports.export.clone(),
            turns: Arc::new(()),
        }
    }
}

impl<S: Store> Handles<ExportTenant> for ExportTenantHandler<S> {
    async fn handle(&self, scope: TenantScope, _: ExportTenant) -> Result<TenantExporter, Error> {
        // Each exporter holds one; so does this handler.
        let turn = self.turns.clone();
        if Arc::strong_count(&self.turns) > EXPORTS_AT_ONCE + 1 {
            return Err(Error::new(
                ErrorCode::Unavailable,
                "other exports are under way: try again later",
            )
            .retry_after(Duration::from_secs(30)));
        }
        let tx = self.store.begin(&scope).await?;
        tx.commit(scope.did(scope.tenant())).await?;
        Ok(TenantExporter {
            source: self.source.clone(),
            scope,
            position: Position::Start,
            _turn: turn,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit_entries::ListAuditEntries,
        ports::{AuditFilter, PageRequest},
        testing::World,
    };
    use postrider_domain::access::{Grant, Role};

    #[tokio::test]
    async fn so_many_are_under_way_and_each_makes_room_when_it_ends() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let mut exports = Vec::new();
        for _ in 0..EXPORTS_AT_ONCE {
            exports.push(world.send(&owner, ExportTenant).await.unwrap());
        }
        assert_eq!(world.refusal(&owner, ExportTenant).await, ErrorCode::Unavailable);
        exports.pop();
        exports.push(world.send(&owner, ExportTenant).await.unwrap());
        assert_eq!(world.refusal(&owner, ExportTenant).await, ErrorCode::Unavailable);
    }

    #[tokio::test]
    async fn it_is_in_the_audit_log_and_not_for_developers() {
        let world = World::new();
        let owner = world.caller("ada@acme.example", Grant::tenant(Role::Owner)).await;
        let export = world.send(&owner, ExportTenant).await.unwrap();
        let request = ListAuditEntries {
            filter: AuditFilter::default(),
            page: PageRequest::first(1),
        };
        let newest = &world.send(&owner, request).await.unwrap().items[0];
        assert_eq!(newest.action, "tenant.export");
        assert_eq!(newest.target, Some(export.scope().tenant().to_string()));
        let developer = World::same_tenant(&owner, Grant::tenant(Role::Developer));
        assert_eq!(
            world.refusal(&developer, ExportTenant).await,
            ErrorCode::Forbidden
        );
    }
}
