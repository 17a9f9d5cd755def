use postrider_domain::{ApplicationId, access::Visibility, applications::ApplicationState};

use crate::{
    Versioned,
    access::TenantScope,
    ports::{Page, PageRequest, StoreError},
};

/// Applications, to look at.
pub trait ApplicationViews: Send + Sync {
    /// Those that may be shown, by id.
    fn applications(
        &self,
        scope: &TenantScope,
        visible: &Visibility,
        page: PageRequest<ApplicationId>,
    ) -> impl Future<Output = Result<Page<ApplicationState, ApplicationId>, StoreError>> + Send;

    /// One application.
    fn application(
        &self,
        scope: &TenantScope,
        id: ApplicationId,
    ) -> impl Future<Output = Result<Option<Versioned<ApplicationState>>, StoreError>> + Send;
}
