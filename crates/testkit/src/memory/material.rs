use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use postrider_application::ports::{
    DeliverableEndpoint, DeliveryMaterial, EndpointSet, ReadMessage, StoreError,
};
use postrider_domain::{ApplicationId, MessageId, TenantId, endpoints::EndpointState};

use super::{state::Row, store::MemoryStore};

#[async_trait]
impl DeliveryMaterial for MemoryStore {
    async fn messages(
        &self,
        keys: &[(TenantId, MessageId)],
    ) -> Result<HashMap<MessageId, ReadMessage>, StoreError> {
        let state = self.state();
        let read = |(tenant, id): &(TenantId, MessageId)| {
            let message = state.hot.messages.get(id)?;
            if message.tenant != *tenant || !state.configuration.is_there(*tenant) {
                return None;
            }
            if state.hot.has_payload(*id) {
                return Some((*id, ReadMessage::Whole(message.clone())));
            }
            // What lost its payload by age is as good as gone.
            let expunged = state.hot.fate(*id).payload_expunged_at;
            expunged.map(|_| (*id, ReadMessage::Expunged))
        };
        Ok(keys.iter().filter_map(read).collect())
    }

    async fn endpoints(
        &self,
        applications: &[(TenantId, ApplicationId)],
    ) -> Result<HashMap<ApplicationId, Arc<EndpointSet>>, StoreError> {
        let state = self.state();
        let configuration = &state.configuration;
        Ok(applications
            .iter()
            .filter(|(tenant, id)| {
                configuration.is_there(*tenant) && configuration.application_that_was(*tenant, *id).is_some()
            })
            .map(|(tenant, application)| {
                let rows = configuration.endpoints.values();
                let theirs = rows.filter(|row| row.state.application == *application);
                let set = EndpointSet {
                    version: configuration.endpoints_version(*tenant, *application),
                    endpoints: theirs.map(|row| Arc::new(deliverable(row))).collect(),
                };
                (*application, Arc::new(set))
            })
            .collect())
    }
}

fn deliverable(row: &Row<EndpointState>) -> DeliverableEndpoint {
    let state = &row.state;
    DeliverableEndpoint {
        id: state.id,
        version: row.version,
        url: Some(state.url.clone()),
        filter: state.filter.clone(),
        secrets: state.secrets.all().to_vec(),
        headers: (!state.headers.is_empty()).then(|| Arc::new(state.headers.clone())),
        retry_schedule: state.retry_schedule.clone(),
        timeout: state.timeout,
        enabled: !state.status.is_disabled(),
    }
}
