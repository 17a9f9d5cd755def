use std::collections::HashSet;

use async_trait::async_trait;
use postrider_application::ports::{OperationalApplications, StoreError};
use postrider_domain::{TenantId, Uid, applications::OPERATIONAL_UID};

use super::super::store::MemoryStore;

#[async_trait]
impl OperationalApplications for MemoryStore {
    async fn listening(&self, tenants: &[TenantId]) -> Result<HashSet<TenantId>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        let listens = |tenant: &&TenantId| {
            let mut applications = configuration.applications.values();
            configuration.is_there(**tenant)
                && applications.any(|row| {
                    let uid = row.state.uid.as_ref().map(Uid::as_str);
                    row.state.tenant == **tenant && uid == Some(OPERATIONAL_UID)
                })
        };
        Ok(tenants.iter().filter(listens).copied().collect())
    }
}
