use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry::KeyValue;
use postrider_domain::TenantId;

/// The label `tenant`, where it is switched on: so many tenants have one of their own, and the others share one.
pub(super) struct TenantLabels {
    most: usize,
    known: Mutex<HashMap<TenantId, Arc<str>>>,
}

impl TenantLabels {
    /// Labels for `most` tenants; 0: no label at all.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            known: Mutex::default(),
        }
    }

    /// Whether there is no such label.
    pub(super) const fn are_off(&self) -> bool {
        self.most == 0
    }

    /// The label of `tenant`.
    pub(super) fn label(&self, tenant: TenantId) -> KeyValue {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if let Some(name) = known.get(&tenant) {
            Arc::clone(name)
        } else if known.len() < self.most {
            let name: Arc<str> = tenant.to_string().into();
            known.insert(tenant, Arc::clone(&name));
            name
        } else {
            "other".into()
        };
        KeyValue::new("tenant", name)
    }
}

#[cfg(test)]
mod tests {
    use postrider_domain::TenantId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn so_many_have_a_label_and_the_others_share_one() {
        let labels = TenantLabels::new(2);
        let tenants: Vec<_> = (1..=4u128)
            .map(|n| TenantId::from_uuid(Uuid::from_u128(n)))
            .collect();
        let names: Vec<_> = tenants
            .iter()
            .chain(&tenants)
            .map(|tenant| labels.label(*tenant).value.to_string())
            .collect();
        assert_eq!(names[0], tenants[0].to_string());
        assert_eq!(names[2..4], ["other", "other"]);
        assert_eq!(names[..4], names[4..]);
    }
}
