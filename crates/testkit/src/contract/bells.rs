//! The bell: other nodes learn that there is work.

use std::time::Duration;

use postrider_application::ports::WorkBell;

use super::{Fixture, Harness};

/// Longer than a ring takes anywhere.
const SURELY: Duration = Duration::from_secs(30);
/// How long a bell must be silent to count as such.
const SILENCE: Duration = Duration::from_millis(300);

async fn is_rung_within(bell: &dyn WorkBell, time: Duration) -> bool {
    tokio::time::timeout(time, bell.rung())
        .await
        .is_ok_and(|rung| rung.is_ok())
}

/// Waits until nothing is left to be heard: rings are coalesced, and a connection that is new counts as rung.
async fn quiet(bell: &dyn WorkBell) {
    for _ in 0..20 {
        if !is_rung_within(bell, SILENCE).await {
            return;
        }
    }
    panic!("it rings for ever");
}

/// Whoever rings, every node hears it, the one that rang as well; those that were busy at that moment too. Where no
/// other node can be, it stays silent.
pub async fn a_ring_is_heard_by_every_node<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let ours = &fixture.ports().bell;
    quiet(&**ours).await;
    let Some(theirs) = harness.another_node().await.map(|ports| ports.bell) else {
        ours.ring().await.unwrap();
        assert!(!is_rung_within(&**ours, SILENCE).await);
        return;
    };
    quiet(&*theirs).await;
    for ringer in [&theirs, ours, &theirs] {
        // Nobody listens at this moment.
        ringer.ring().await.unwrap();
        ringer.ring().await.unwrap();
        for (who, listener) in [("we", ours), ("they", &theirs)] {
            assert!(is_rung_within(&**listener, SURELY).await, "{who} hear it");
        }
        quiet(&**ours).await;
        quiet(&*theirs).await;
    }
    let (listener, ringer) = (ours.clone(), theirs.clone());
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { is_rung_within(&*listener, SURELY).await });
    // Now somebody listens already, or is about to.
    tokio::task::yield_now().await;
    ringer.ring().await.unwrap();
    assert_eq!(waiting.join_all().await, [true]);
}

/// A bell that nobody rings is silent, whatever is written meanwhile.
pub async fn a_bell_that_nobody_rings_is_silent<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let bell = &fixture.ports().bell;
    quiet(&**bell).await;
    let tenant = fixture.tenant("acme").await;
    let customer = fixture.application(&tenant).await;
    fixture.accepted(&customer).await;
    assert!(!is_rung_within(&**bell, SILENCE).await);
}
