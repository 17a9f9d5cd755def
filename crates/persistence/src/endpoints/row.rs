use postrider_application::ports::{EndpointView, StoreError};
use postrider_domain::{
    ApplicationId, Description, EndpointId, TenantId,
    endpoints::{
        AttemptTimeout, CustomHeaders, DisableReason, EndpointRef, EndpointState, EndpointStatus,
        EndpointUrl, SecretRing, ShownHeaders,
    },
};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, Condition, entity::prelude::*};

use super::EndpointSecrets;
use crate::{
    applications::read_uid,
    codec::{StoredHeaders, StoredMetadata, StoredTexts, StoredWaits, read_filter, timestamp},
    error::corrupt,
    stored::read_version,
};

/// A row of `endpoints`.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "endpoints")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) tenant: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) app: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) id: Uuid,
    pub(super) uid: Option<String>,
    pub(super) url: String,
    pub(super) description: String,
    pub(super) event_types: StoredTexts,
    pub(super) channels: StoredTexts,
    pub(super) secret_kind: Option<String>,
    pub(super) sealed_secret: Vec<u8>,
    pub(super) sealed_old_secrets: Option<Vec<u8>>,
    pub(super) headers: Option<StoredHeaders>,
    pub(super) sealed_headers: Option<Vec<u8>>,
    pub(super) retry_waits: Option<StoredWaits>,
    pub(super) timeout_ms: Option<i32>,
    pub(super) metadata: StoredMetadata,
    pub(super) disabled_why: Option<String>,
    pub(super) disabled_at: Option<i64>,
    pub(super) created_at: i64,
    pub(super) version: i32,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Names the row of the endpoint that `reference` means, within the tenant's application.
pub(super) fn named(tenant: TenantId, application: ApplicationId, reference: &EndpointRef) -> Condition {
    Condition::all()
        .add(Column::Tenant.eq(tenant.as_uuid()))
        .add(Column::App.eq(application.as_uuid()))
        .add(match reference {
            EndpointRef::Id(id) => Column::Id.eq(id.as_uuid()),
            EndpointRef::Uid(uid) => Column::Uid.eq(uid.as_str()),
        })
}

/// The row of a state, at `version`.
pub(super) fn write(
    state: &EndpointState,
    secrets: &EndpointSecrets,
    version: i32,
) -> Result<ActiveModel, StoreError> {
    let (disabled_why, disabled_at) = match state.status {
        EndpointStatus::Enabled => (None, None),
        EndpointStatus::Disabled { why, at } => (Some(why.as_str().to_owned()), Some(at.as_micros())),
    };
    let timeout_ms = state
        .timeout
        .map(|timeout| i32::try_from(timeout.as_millis()))
        .transpose();
    let sealed = secrets.seal(state.tenant, state.id, &state.secrets)?;
    Ok(ActiveModel {
        tenant: Set(state.tenant.as_uuid()),
        app: Set(state.application.as_uuid()),
        id: Set(state.id.as_uuid()),
        uid: Set(state.uid.as_ref().map(|uid| uid.as_str().to_owned())),
        url: Set(state.url.as_str().to_owned()),
        description: Set(state.description.as_str().to_owned()),
        event_types: Set(StoredTexts::of_event_types(state.filter.event_types())),
        channels: Set(StoredTexts::of_channels(state.filter.channels())),
        secret_kind: Set(sealed.kind),
        sealed_secret: Set(sealed.current),
        sealed_old_secrets: Set(sealed.old),
        headers: Set(StoredHeaders::of(&state.headers)),
        sealed_headers: Set(secrets.seal_headers(state.tenant, state.id, &state.headers)?),
        retry_waits: Set(state.retry_schedule.as_ref().map(StoredWaits::of)),
        timeout_ms: Set(timeout_ms.map_err(|why| corrupt("time-out of an endpoint", why))?),
        metadata: Set(StoredMetadata::of(&state.metadata)),
        disabled_why: Set(disabled_why),
        disabled_at: Set(disabled_at),
        created_at: Set(state.created_at.as_micros()),
        version: Set(version),
    })
}

impl Model {
    fn names(&self) -> (TenantId, EndpointId) {
        (TenantId::from_uuid(self.tenant), EndpointId::from_uuid(self.id))
    }

    /// What it signs with; our fault if it does not open.
    pub(super) fn secrets(&self, secrets: &EndpointSecrets) -> Result<SecretRing, StoreError> {
        let (tenant, endpoint) = self.names();
        let (kind, old) = (self.secret_kind.as_deref(), self.sealed_old_secrets.as_deref());
        Ok(secrets.open(tenant, endpoint, kind, &self.sealed_secret, old)?)
    }

    fn shown_headers(&self) -> Result<ShownHeaders, StoreError> {
        let read = self.headers.clone().map(StoredHeaders::read).transpose()?;
        Ok(read.unwrap_or_default())
    }

    /// What is sent with every webhook besides; our fault if it does not open.
    pub(super) fn headers(&self, secrets: &EndpointSecrets) -> Result<CustomHeaders, StoreError> {
        if self.headers.is_none() {
            return Ok(CustomHeaders::default());
        }
        let ((tenant, endpoint), sealed) = (self.names(), self.sealed_headers.as_deref());
        Ok(secrets.open_headers(tenant, endpoint, self.shown_headers()?, sealed)?)
    }

    pub(super) fn url(&self) -> Result<EndpointUrl, StoreError> {
        EndpointUrl::restore(&self.url).map_err(|why| corrupt("URL of an endpoint", why))
    }

    pub(super) fn timeout(&self) -> Result<Option<AttemptTimeout>, StoreError> {
        let timeout = self
            .timeout_ms
            .map(|ms| AttemptTimeout::from_millis(u64::try_from(ms).unwrap_or(0)));
        timeout
            .transpose()
            .map_err(|why| corrupt("time-out of an endpoint", why))
    }

    fn status(&self) -> Result<EndpointStatus, StoreError> {
        match (&self.disabled_why, self.disabled_at) {
            (None, None) => Ok(EndpointStatus::Enabled),
            (Some(why), Some(at)) => Ok(EndpointStatus::Disabled {
                why: DisableReason::parse(why)
                    .ok_or_else(|| corrupt("reason of a disabled endpoint", "it is unknown"))?,
                at: timestamp(at),
            }),
            _ => Err(corrupt("status of an endpoint", "reason and time come together")),
        }
    }

    /// Everything but what is secret.
    pub(super) fn view(self) -> Result<EndpointView, StoreError> {
        Ok(EndpointView {
            id: EndpointId::from_uuid(self.id),
            application: ApplicationId::from_uuid(self.app),
            url: self.url()?,
            filter: read_filter(&self.event_types, &self.channels)?,
            timeout: self.timeout()?,
            status: self.status()?,
            headers: self.shown_headers()?,
            version: read_version(self.version)?,
            uid: read_uid(self.uid)?,
            description: Description::parse(&self.description)
                .map_err(|why| corrupt("description of an endpoint", why))?,
            retry_schedule: self.retry_waits.map(StoredWaits::read).transpose()?,
            metadata: self.metadata.read()?,
            created_at: timestamp(self.created_at),
        })
    }

    /// All of it.
    pub(super) fn state(self, secrets: &EndpointSecrets) -> Result<EndpointState, StoreError> {
        let (tenant, ring, headers) = (
            TenantId::from_uuid(self.tenant),
            self.secrets(secrets)?,
            self.headers(secrets)?,
        );
        let view = self.view()?;
        Ok(EndpointState {
            id: view.id,
            tenant,
            application: view.application,
            uid: view.uid,
            url: view.url,
            description: view.description,
            filter: view.filter,
            secrets: ring,
            headers,
            retry_schedule: view.retry_schedule,
            timeout: view.timeout,
            metadata: view.metadata,
            status: view.status,
            created_at: view.created_at,
        })
    }
}
