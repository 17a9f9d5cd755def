use std::{fmt, sync::Arc};

use async_trait::async_trait;
use postrider_application::ports::{
    ApiKeyRecord, Clock, Credentials, PortalRecord, SessionRecord, StoreError,
};
use postrider_domain::{ApiKeyId, ApplicationId, SessionId, TenantId};

use crate::{CacheOptions, flight::Flights};

/// [`Credentials`], cached by id.
///
/// Ids are unique in the installation and every record names its tenant, so nothing crosses tenants here; what portal
/// tokens need is kept by tenant and application, as the port is asked. Whether a record has expired is judged by
/// whoever reads it.
pub struct CachedCredentials<C: ?Sized> {
    inner: Arc<C>,
    api_keys: Flights<ApiKeyId, ApiKeyRecord>,
    sessions: Flights<SessionId, SessionRecord>,
    portals: Flights<(TenantId, ApplicationId), PortalRecord>,
}

impl<C: Credentials + ?Sized> CachedCredentials<C> {
    /// Caches what `inner` answers; the options hold for API keys, for sessions and for applications with portal
    /// tokens each.
    pub fn new(inner: Arc<C>, options: CacheOptions, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            api_keys: Flights::new("api_keys", options, Arc::clone(&clock)),
            sessions: Flights::new("sessions", options, Arc::clone(&clock)),
            portals: Flights::new("portals", options, clock),
        }
    }
}

impl<C: ?Sized> CachedCredentials<C> {
    /// Forgets one API key.
    pub(crate) fn invalidate_api_key(&self, id: ApiKeyId) {
        self.api_keys.invalidate(&id);
    }

    /// Forgets all API keys.
    pub(crate) fn invalidate_api_keys(&self) {
        self.api_keys.invalidate_all();
    }

    /// Forgets one session.
    pub(crate) fn invalidate_session(&self, id: SessionId) {
        self.sessions.invalidate(&id);
    }

    /// Forgets all sessions.
    pub(crate) fn invalidate_sessions(&self) {
        self.sessions.invalidate_all();
    }

    /// Forgets what portal tokens of one tenant's applications need.
    pub(crate) fn invalidate_portals_of(&self, tenant: TenantId) {
        self.portals.invalidate(&tenant);
    }

    /// Forgets what portal tokens need.
    pub(crate) fn invalidate_portals(&self) {
        self.portals.invalidate_all();
    }

    /// Forgets everything.
    pub(crate) fn invalidate_all(&self) {
        self.invalidate_api_keys();
        self.invalidate_sessions();
        self.invalidate_portals();
    }
}

#[async_trait]
impl<C: Credentials + ?Sized> Credentials for CachedCredentials<C> {
    async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKeyRecord>, StoreError> {
        let record = self.api_keys.get(&id, id, || self.inner.api_key(id)).await?;
        Ok(record.map(|record| ApiKeyRecord::clone(&record)))
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRecord>, StoreError> {
        let record = self.sessions.get(&id, id, || self.inner.session(id)).await?;
        Ok(record.map(|record| SessionRecord::clone(&record)))
    }

    async fn portal(
        &self,
        tenant: TenantId,
        application: ApplicationId,
    ) -> Result<Option<PortalRecord>, StoreError> {
        let load = || self.inner.portal(tenant, application);
        let record = self.portals.get(&tenant, (tenant, application), load).await?;
        Ok(record.map(|record| *record))
    }
}

impl<C: ?Sized> fmt::Debug for CachedCredentials<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedCredentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{
        FakeCredentials, TestClock, api_key, application, options, portal, session, tenant,
    };
    use postrider_domain::Timestamp;

    fn cached() -> (CachedCredentials<FakeCredentials>, Arc<FakeCredentials>) {
        let inner = Arc::new(FakeCredentials::default());
        (
            CachedCredentials::new(inner.clone(), options(), Arc::<TestClock>::default()),
            inner,
        )
    }

    #[tokio::test]
    async fn answers_what_the_port_answers_and_asks_it_once() {
        let (cached, inner) = cached();
        let (key, session) = (api_key(1), session(1));
        assert_eq!(cached.api_key(key.id).await.unwrap(), None);
        assert_eq!(cached.session(session.id).await.unwrap(), None);
        inner.add(&key, &session);
        for _ in 0..3 {
            assert_eq!(cached.api_key(key.id).await.unwrap().as_ref(), Some(&key));
            assert_eq!(cached.session(session.id).await.unwrap().as_ref(), Some(&session));
        }
        assert_eq!(inner.loads(), [2, 2, 0]);
    }

    #[tokio::test]
    async fn what_portal_tokens_need_is_kept_by_tenant_and_application() {
        let (cached, inner) = cached();
        let ask = |t, app| cached.portal(tenant(t), application(app));
        assert_eq!(ask(1, 11).await.unwrap(), None);
        let revoked = PortalRecord {
            tokens_valid_after: Some(Timestamp::from_micros(5)),
            ..portal()
        };
        inner.add_portal(tenant(1), application(11), portal());
        inner.add_portal(tenant(1), application(12), revoked);
        for _ in 0..3 {
            assert_eq!(ask(1, 11).await.unwrap(), Some(portal()));
            assert_eq!(ask(1, 12).await.unwrap(), Some(revoked));
        }
        assert_eq!(inner.loads(), [0, 0, 3]);
        // What is kept for one tenant is not answered to another.
        assert_eq!(ask(2, 11).await.unwrap(), None);
        inner.add_portal(tenant(1), application(11), revoked);
        assert_eq!(ask(1, 11).await.unwrap(), Some(portal()));
        cached.invalidate_portals_of(tenant(1));
        assert_eq!(ask(1, 11).await.unwrap(), Some(revoked));
    }

    #[tokio::test]
    async fn a_revoked_credential_is_gone_once_invalidated() {
        let (cached, inner) = cached();
        let (key, session) = (api_key(1), session(1));
        inner.add(&key, &session);
        cached.api_key(key.id).await.unwrap();
        cached.session(session.id).await.unwrap();
        inner.clear();
        cached.invalidate_api_key(key.id);
        assert_eq!(cached.api_key(key.id).await.unwrap(), None);
        assert!(
            cached.session(session.id).await.unwrap().is_some(),
            "the other kind is not concerned"
        );
        cached.invalidate_session(session.id);
        assert_eq!(cached.session(session.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn decorates_trait_objects_too() {
        let (_, inner) = cached();
        let inner: Arc<dyn Credentials> = inner;
        let cached: Arc<dyn Credentials> = Arc::new(CachedCredentials::new(
            inner,
            options(),
            Arc::<TestClock>::default(),
        ));
        assert_eq!(cached.api_key(api_key(1).id).await.unwrap(), None);
    }
}
