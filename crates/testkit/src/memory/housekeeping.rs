use std::time::Duration;

use async_trait::async_trait;
use postrider_application::{
    audit::AuditEntry,
    ports::{DELETED_APPLICATIONS_KEPT, ErasureStep, Housekeeping, Partitions, StoreError},
};
use postrider_domain::{ApiKeyId, TenantId, Timestamp};

use super::{state::State, store::MemoryStore};

#[async_trait]
impl Housekeeping for MemoryStore {
    async fn forget_expired(&self, limit: u32) -> Result<u32, StoreError> {
        let _turn = self.turn().await;
        let (mut state, now) = (self.state(), self.now());
        let State {
            configuration,
            answers,
            hot,
            ..
        } = &mut *state;
        let mut left = limit;
        // A session that cannot be refreshed any more has no access token left that would be good.
        configuration
            .sessions
            .retain(|_, row| !takes(&mut left, row.state.refresh_expires_at <= now));
        configuration
            .invitations
            .retain(|_, row| !takes(&mut left, row.state.expires_at <= now));
        configuration
            .password_resets
            .retain(|_, reset| !takes(&mut left, reset.expires_at <= now));
        answers.retain(|_, kept| !takes(&mut left, kept.expires_at <= now));
        configuration
            .replays
            .retain(|_, row| !takes(&mut left, super::replays::is_over(&row.state, now)));
        let queued = |id| hot.work.values().any(|row| row.application == id);
        configuration.applications.retain(|id, row| {
            let long_gone = |at: Timestamp| at.plus(DELETED_APPLICATIONS_KEPT) <= now;
            let meant = row.state.deleted_at.is_some_and(long_gone) && !queued(*id);
            !takes(&mut left, meant)
        });
        Ok(limit - left)
    }

    async fn erase(&self, limit: u32, grace: Duration) -> Result<ErasureStep, StoreError> {
        let _turn = self.turn().await;
        let (mut state, now) = (self.state(), self.now());
        Ok(state.erase(limit.max(1), grace, now))
    }

    async fn record_key_uses(&self, uses: &[(TenantId, ApiKeyId, Timestamp)]) -> Result<(), StoreError> {
        let mut state = self.state();
        for (tenant, key, at) in uses {
            let known = state.configuration.api_keys.get(key);
            if known.is_some_and(|row| row.state.tenant == *tenant) {
                let last = state.key_uses.entry(*key).or_insert(*at);
                *last = (*last).max(*at);
            }
        }
        Ok(())
    }

    async fn append_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut state = self.state();
        for entry in entries {
            let gone = |tenant| !state.configuration.is_there(tenant);
            if !entry.tenant.is_some_and(gone) {
                // Appended again after an answer that was lost: it is there already.
                state.audit.entry(entry.id).or_insert_with(|| entry.clone());
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Partitions for MemoryStore {
    async fn make_ahead(&self, _: Duration) -> Result<u32, StoreError> {
        Ok(0)
    }
}

/// Whether a row that is `meant` is taken: as long as any are `left` to take.
pub(super) const fn takes(left: &mut u32, meant: bool) -> bool {
    let taken = meant && *left > 0;
    if taken {
        *left -= 1;
    }
    taken
}
