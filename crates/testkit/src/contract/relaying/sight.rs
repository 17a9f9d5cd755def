//! How far nodes have seen the log, and hearing of it.

use std::time::Duration;

use postrider_application::ports::{EventBell, Heard};

use super::{NAME, held, refused};
use crate::contract::{Fixture, Harness, queue_steps::LEASE};

/// Longer than anything takes to be heard.
const SURELY: Duration = Duration::from_secs(30);

/// What a living node has not seen is waited for; what the dead have not, is not.
pub async fn living_nodes_are_waited_for_until_they_have_seen<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let sight = &fixture.ports().sight;
    let unseen = async |position| sight.unseen(position).await.unwrap().nodes;
    assert_eq!(sight.unseen(None).await.unwrap().position, 0);
    let (one, other) = (fixture.node().await, fixture.node().await);
    fixture.tenant("acme").await;
    let head = fixture.ports().events.head().await.unwrap();
    let waited = sight.unseen(None).await.unwrap();
    assert_eq!((waited.position, waited.nodes), (head, 2));
    sight.note_seen(one, head).await.unwrap();
    assert_eq!(unseen(Some(head)).await, 1);
    sight.note_seen(one, head - 1).await.unwrap();
    assert_eq!(unseen(Some(head)).await, 1, "it does not go back");
    sight.note_seen(other, head - 1).await.unwrap();
    assert_eq!((unseen(Some(head - 1)).await, unseen(Some(head)).await), (0, 1));
    fixture.ports().nodes.leave(other).await.unwrap();
    assert_eq!(unseen(Some(head)).await, 0);
    let late = fixture.node().await;
    assert_eq!(unseen(Some(head)).await, 1, "a new one has seen nothing yet");
    if harness.another_node().await.is_some() {
        harness.age(LEASE).await;
        assert_eq!(unseen(Some(head)).await, 0, "{late}: its lease ran out");
    }
}

/// What everybody is past may go, and nothing else.
pub async fn what_everybody_is_past_may_go<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (cursors, sight) = (&fixture.ports().cursors, &fixture.ports().sight);
    fixture.tenant("acme").await;
    let head = fixture.ports().events.head().await.unwrap();
    assert!(head >= 3);
    assert_eq!(cursors.all_done_up_to().await.unwrap(), head, "nobody listens");
    let node = held(&fixture).await;
    assert_eq!(cursors.all_done_up_to().await.unwrap(), 0);
    assert!(
        cursors
            .advance(node, NAME, head - 1, &[refused(2, "a")])
            .await
            .unwrap()
    );
    assert_eq!(
        cursors.all_done_up_to().await.unwrap(),
        0,
        "the node has seen nothing"
    );
    sight.note_seen(node, head).await.unwrap();
    assert_eq!(
        cursors.all_done_up_to().await.unwrap(),
        1,
        "what is set aside stays"
    );
    assert!(cursors.delivered(node, NAME, 2, &[]).await.unwrap());
    assert_eq!(cursors.all_done_up_to().await.unwrap(), head - 1);
    // What is set aside for a subscriber that was switched off long ago holds nothing.
    assert!(
        cursors
            .advance(node, NAME, head - 1, &[refused(3, "a")])
            .await
            .unwrap()
    );
    assert_eq!(cursors.all_done_up_to().await.unwrap(), 2);
    fixture.ports().nodes.leave(node).await.unwrap();
    harness.age(Duration::from_hours(8 * 24)).await;
    assert_eq!(cursors.all_done_up_to().await.unwrap(), head);
}

/// A commit of events is heard by other nodes, and so is what they have seen of it.
pub async fn commits_of_events_are_heard_by_every_node<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let Some(theirs) = harness.another_node().await else {
        return;
    };
    let hear = async |bell: &dyn EventBell, what| {
        let hearing = async { while bell.heard().await.unwrap() != what {} };
        tokio::time::timeout(SURELY, hearing).await.expect("it is heard");
    };
    let (our_bell, their_bell) = (fixture.ports().event_bell.clone(), theirs.event_bell.clone());
    // Listening begins with the first call, which answers at once where it is a connection.
    for bell in [&our_bell, &their_bell] {
        let _ = tokio::time::timeout(Duration::from_millis(500), bell.heard()).await;
    }
    fixture.tenant("acme").await;
    hear(&*our_bell, Heard::Events).await;
    hear(&*their_bell, Heard::Events).await;
    let node = fixture.node().await;
    theirs.sight.note_seen(node, 1).await.unwrap();
    hear(&*our_bell, Heard::Seen).await;
}
