use std::time::Duration;

use postrider_application::ports::{ErasureStep, ErasureView};
use postrider_domain::{MessageId, TenantId, Timestamp, UserId, tenants::TenantStatus};

use super::{hot::Hot, housekeeping::takes, state::State, tables::Configuration};

/// A table as the databases name it: takes up to `left` of its rows that are the tenant's, or of people who are in
/// no other tenant.
type Table = (&'static str, fn(&mut State, TenantId, &mut u32));

macro_rules! of_tenant {
    ($($table:ident)+) => {
        [$((
            stringify!($table),
            |state, tenant, left| {
                state.configuration.$table.retain(|_, row| !takes(left, row.state.tenant == tenant));
            },
        )),+]
    };
}

/// What has a row of the configuration; people before the memberships by which they are known to be the tenant's.
const CONFIGURATION: [Table; 7] =
    of_tenant!(replays endpoints event_types applications api_keys sessions invitations);

const PEOPLE: [Table; 3] = [
    ("password_resets", |state, tenant, left| {
        let theirs = state.configuration.only_in(tenant);
        let resets = &mut state.configuration.password_resets;
        resets.retain(|user, _| !takes(left, theirs.contains(user)));
    }),
    ("users", |state, tenant, left| {
        let theirs = state.configuration.only_in(tenant);
        let users = &mut state.configuration.users;
        users.retain(|user, _| !takes(left, theirs.contains(user)));
    }),
    ("memberships", |state, tenant, left| {
        let memberships = &mut state.configuration.memberships;
        memberships.retain(|_, row| !takes(left, row.state.tenant == tenant));
    }),
];

const QUEUE: Table = ("outbox_work", |state, tenant, left| {
    state.hot.work.retain(|_, row| !takes(left, row.tenant == tenant));
});

const FIGURES: [Table; 2] = [
    ("endpoint_stats", |state, tenant, left| {
        state
            .endpoint_stats
            .retain(|(of, ..), _| !takes(left, *of == tenant));
    }),
    ("tenant_usage", |state, tenant, left| {
        state
            .tenant_usage
            .retain(|(of, _), _| !takes(left, *of == tenant));
    }),
];

const HISTORY: [Table; 6] = [
    ("endpoint_failures", |state, tenant, left| {
        state
            .hot
            .failing
            .retain(|_, row| !takes(left, row.tenant == tenant));
    }),
    ("attempts", |state, tenant, left| {
        let Hot {
            attempts, messages, ..
        } = &mut state.hot;
        let theirs = |message: &MessageId| {
            messages
                .get(message)
                .is_some_and(|message| message.tenant == tenant)
        };
        attempts.retain(|(message, ..), _| !takes(left, theirs(message)));
    }),
    ("deliveries", |state, tenant, left| {
        state
            .hot
            .deliveries
            .retain(|_, row| !takes(left, row.tenant == tenant));
    }),
    ("dedup", |state, tenant, left| {
        state.hot.dedup.retain(|(of, ..), _| !takes(left, *of == tenant));
    }),
    ("payloads", |state, tenant, left| {
        let messages = state.hot.messages.values();
        let theirs = messages.filter(|message| message.tenant == tenant);
        let theirs: Vec<MessageId> = theirs.map(|message| message.id).collect();
        state.hot.remove_payloads(&theirs, left);
    }),
    ("messages", |state, tenant, left| {
        let Hot { messages, fates, .. } = &mut state.hot;
        messages.retain(|_, message| !takes(left, message.tenant == tenant));
        fates.retain(|id, _| messages.contains_key(id));
    }),
];

const SCHEMAS: Table = ("event_type_schemas", |state, tenant, left| {
    let schemas = &mut state.configuration.event_type_schemas;
    schemas.retain(|(of, ..), _| !takes(left, *of == tenant));
});

const LOGS: [Table; 4] = [
    ("idempotency_keys", |state, tenant, left| {
        state
            .answers
            .retain(|key, _| !takes(left, key.tenant == Some(tenant)));
    }),
    ("dead_letters", |state, tenant, left| {
        state
            .relayed
            .letters
            .retain(|_, letter| !takes(left, letter.event.of.tenant == Some(tenant)));
    }),
    ("outbox_events", |state, tenant, left| {
        state
            .events
            .retain(|event| !takes(left, event.tenant == Some(tenant)));
    }),
    ("audit_entries", |state, tenant, left| {
        state
            .audit
            .retain(|_, entry| !takes(left, entry.tenant == Some(tenant)));
    }),
];

fn tables() -> impl Iterator<Item = Table> {
    let queue = [QUEUE].into_iter();
    queue
        .chain(FIGURES)
        .chain(HISTORY)
        .chain([SCHEMAS])
        .chain(CONFIGURATION)
        .chain(PEOPLE)
        .chain(LOGS)
}

impl Configuration {
    /// Members of the tenant who are in no other.
    fn only_in(&self, tenant: TenantId) -> Vec<UserId> {
        let memberships = || self.memberships.values().map(|row| &row.state);
        let elsewhere = |user| memberships().any(|other| other.user == user && other.tenant != tenant);
        let members = memberships().filter(|member| member.tenant == tenant);
        members
            .map(|member| member.user)
            .filter(|user| !elsewhere(*user))
            .collect()
    }
}

impl State {
    /// One step: up to `limit` rows of one table.
    pub(super) fn erase(&mut self, limit: u32, grace: Duration, now: Timestamp) -> ErasureStep {
        let tenants = self.configuration.tenants.values().map(|row| &row.state);
        let ordered: Vec<(TenantId, Timestamp)> = tenants
            .filter(|tenant| tenant.status == TenantStatus::Deleting)
            .map(|tenant| (tenant.id, tenant.status_since))
            .collect();
        for (tenant, _) in &ordered {
            if let Some(rows) = self.take(QUEUE, *tenant, limit) {
                return ErasureStep::Removed {
                    tenant: *tenant,
                    rows,
                };
            }
        }
        let mut due = ordered.into_iter().filter(|(_, since)| since.plus(grace) <= now);
        let Some((tenant, since)) = due.next() else {
            return ErasureStep::Nothing;
        };
        for table in tables() {
            if let Some(rows) = self.take(table, tenant, limit) {
                return ErasureStep::Removed { tenant, rows };
            }
        }
        // Every table was looked through just now, and nobody else had a turn.
        let rows = self.finish_erasure(tenant, since, now);
        ErasureStep::Erased { tenant, rows }
    }

    /// Takes rows of a table; none if there are none.
    fn take(&mut self, table: Table, tenant: TenantId, limit: u32) -> Option<u64> {
        let (name, take) = table;
        let mut left = limit;
        take(self, tenant, &mut left);
        let taken = u64::from(limit - left);
        if taken == 0 {
            return None;
        }
        self.count(tenant, name, taken);
        Some(taken)
    }

    fn count(&mut self, tenant: TenantId, table: &'static str, rows: u64) {
        *self.erasing.entry(tenant).or_default().entry(table).or_default() += rows;
    }

    fn finish_erasure(
        &mut self,
        tenant: TenantId,
        ordered_at: Timestamp,
        erased_at: Timestamp,
    ) -> Vec<(String, u64)> {
        self.configuration.tenants.remove(&tenant);
        self.count(tenant, "tenants", 1);
        // What is a column there and a map of its own here.
        let Configuration {
            api_keys,
            applications,
            endpoints_versions,
            replays,
            ..
        } = &mut self.configuration;
        self.key_uses.retain(|key, _| api_keys.contains_key(key));
        endpoints_versions.retain(|application, _| applications.contains_key(application));
        self.replays_due.retain(|replay, _| replays.contains_key(replay));
        self.replays_queued
            .retain(|replay, _| replays.contains_key(replay));
        self.hot.asked_in.retain(|replay, _| replays.contains_key(replay));
        let counts = self.erasing.remove(&tenant).unwrap_or_default().into_iter();
        let rows: Vec<_> = counts.map(|(table, rows)| (table.to_owned(), rows)).collect();
        let view = ErasureView {
            tenant,
            ordered_at,
            erased_at,
            rows: rows.clone(),
        };
        self.erasures.insert(tenant, view);
        rows
    }
}
