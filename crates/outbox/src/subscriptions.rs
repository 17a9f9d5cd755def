//! Who hears of what: the one table of subscribers.

use std::sync::Arc;

use postrider_application::ports::StartAt;

use crate::Subscriber;

/// Which kinds of events a subscriber wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// All, those of newer releases too.
    All,
    /// These.
    Of(&'static [&'static str]),
}

/// A subscriber of the whole installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    /// Its name: the key of its cursor, for ever. Lower-case letters, digits and hyphens, at most
    /// [`DeadLetterId::MAX_NAME`](postrider_application::ports::DeadLetterId::MAX_NAME) characters.
    pub name: &'static str,
    /// What it wants. What it does not want is passed over for good.
    pub kinds: Kinds,
    /// Where it begins when it is new.
    pub start: StartAt,
    /// What becomes of an event of a kind or version that this release does not know.
    pub unknown: Unknown,
    /// How many events it takes at once, each of another aggregate; with 1 it takes all in commit order.
    pub at_once: usize,
}

/// What becomes of an event whose form is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is told like any other: the subscriber hands it on as it is.
    Told,
    /// It is set aside unseen, until a release that knows it holds the cursor.
    SetAside,
}

/// The tenants' operational webhooks.
pub const OPERATIONAL_WEBHOOKS: Subscription = Subscription {
    name: "operational-webhooks",
    kinds: Kinds::Of(crate::operational::KINDS),
    // Nobody waits for webhooks of what was before there were any.
    start: StartAt::Head,
    unknown: Unknown::SetAside,
    at_once: 16,
};

/// The operator's sink.
pub const EVENT_SINK: Subscription = Subscription {
    name: "event-sink",
    kinds: Kinds::All,
    // Whoever switches it on wants all that is kept.
    start: StartAt::Beginning,
    unknown: Unknown::Told,
    at_once: 1,
};

/// All of them. Beside these there is, on every node, what the node remembers: it has no cursor in the database, and
/// begins with what is committed from its start on.
pub const SUBSCRIPTIONS: [Subscription; 2] = [OPERATIONAL_WEBHOOKS, EVENT_SINK];

impl Subscription {
    /// Whether it wants events of this kind (`aggregate.verb`).
    pub fn wants(&self, kind: &str) -> bool {
        match self.kinds {
            Kinds::All => true,
            Kinds::Of(kinds) => kinds.contains(&kind),
        }
    }
}

/// A subscription with whoever serves it.
#[derive(Clone)]
pub struct Installed {
    /// Which.
    pub subscription: Subscription,
    /// Who.
    pub subscriber: Arc<dyn Subscriber>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_application::ports::{DeadLetterId, event_form};

    #[test]
    fn names_are_unique_and_can_be_part_of_an_id() {
        let mut names: Vec<_> = SUBSCRIPTIONS
            .iter()
            .map(|subscription| subscription.name)
            .collect();
        for name in &names {
            assert!(format!("{name}.1").parse::<DeadLetterId>().is_ok(), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SUBSCRIPTIONS.len());
    }

    #[test]
    fn every_kind_that_is_wanted_is_known() {
        for subscription in SUBSCRIPTIONS {
            if let Kinds::Of(kinds) = subscription.kinds {
                for kind in kinds {
                    assert!(event_form(kind).is_some(), "{}: {kind}", subscription.name);
                    assert!(subscription.wants(kind));
                }
                assert!(!subscription.wants("parcel.lost"));
            }
        }
    }
}
