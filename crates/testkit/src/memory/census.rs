use std::collections::BTreeMap;

use postrider_domain::{MessageId, TenantId};

use super::{state::State, store::MemoryStore};

/// How many rows of which table.
type Counts = Vec<(&'static str, usize)>;

impl MemoryStore {
    /// How many rows of which table are the tenant's, as the databases would count them; with none, how many are no
    /// tenant's. Tables without any are left out.
    pub fn rows(&self, of: Option<TenantId>) -> BTreeMap<String, u64> {
        let state = self.state();
        let mut counts = of.map_or_else(|| state.of_nobody(), |tenant| state.of_tenant(tenant));
        let events = state.events.iter().filter(|event| event.tenant == of);
        let entries = state.audit.values().filter(|entry| entry.tenant == of);
        counts.extend([
            ("outbox_events", events.count()),
            ("audit_entries", entries.count()),
        ]);
        let present = counts.into_iter().filter(|(_, rows)| *rows > 0);
        present
            .map(|(table, rows)| (table.to_owned(), rows as u64))
            .collect()
    }
}

impl State {
    fn of_nobody(&self) -> Counts {
        vec![
            ("users", self.configuration.users.len()),
            ("password_resets", self.configuration.password_resets.len()),
            ("erasures", self.erasures.len()),
            ("signing_keys", self.signing_keys.len()),
        ]
    }

    fn of_tenant(&self, tenant: TenantId) -> Counts {
        macro_rules! counts {
            ($of:expr, $row:ident => $its:expr; $($table:ident)+) => {
                [$((stringify!($table), $of.$table.values().filter(|$row| $its == tenant).count())),+]
            };
        }
        let configuration = counts!(self.configuration, row => row.state.tenant;
            memberships invitations sessions api_keys applications event_types endpoints replays);
        let hot = counts!(self.hot, row => row.tenant; messages deliveries);
        let failing = self.hot.failing.values().filter(|row| row.tenant == tenant);
        let letters = self.relayed.letters.values();
        let letters = letters.filter(|letter| letter.event.of.tenant == Some(tenant));
        let messages = &self.hot.messages;
        let of_message = |id| messages.get(id).is_some_and(|message| message.tenant == tenant);
        let attempts = self
            .hot
            .attempts
            .keys()
            .filter(|(message, ..)| of_message(message));
        let there = |id: &&MessageId| self.hot.has_payload(**id);
        let payloads = messages.keys().filter(|id| of_message(id)).filter(there);
        let schemas = self.configuration.event_type_schemas.keys();
        let schemas = schemas.filter(|(of, ..)| *of == tenant);
        let work = self.hot.work.values().filter(|row| row.tenant == tenant);
        let dedup = self.hot.dedup.keys().filter(|(of, ..)| *of == tenant);
        let tenants = self.configuration.tenants.keys().filter(|id| **id == tenant);
        let answers = self.answers.keys().filter(|key| key.tenant == Some(tenant));
        let stats = self.endpoint_stats.keys().filter(|(of, ..)| *of == tenant);
        let usage = self.tenant_usage.keys().filter(|(of, _)| *of == tenant);
        let others = [
            ("idempotency_keys", answers.count()),
            ("endpoint_stats", stats.count()),
            ("tenant_usage", usage.count()),
            ("tenants", tenants.count()),
            ("payloads", payloads.count()),
            ("event_type_schemas", schemas.count()),
            ("attempts", attempts.count()),
            ("outbox_work", work.count()),
            ("dedup", dedup.count()),
            ("endpoint_failures", failing.count()),
            ("dead_letters", letters.count()),
        ];
        configuration.into_iter().chain(hot).chain(others).collect()
    }
}
