//! What the operator does about events that were set aside.

use postrider_application::{
    audit::Record,
    ports::{
        DeadLetterId, DeadLetterRepository as _, OperatorViews as _, PageRequest, SetAside, Start,
        Store as _, UnitOfWork as _,
    },
};

use super::{NAME, held, of, refused, take, waiting};
use crate::contract::{Fixture, Harness};

/// The operator lists what was refused, both ways, and asks for it again.
pub async fn the_operator_has_dead_letters_delivered_again<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let cursors = &fixture.ports().cursors;
    let aside = [refused(1, "a"), waiting(2, "a"), refused(3, "b"), refused(5, "c")];
    assert!(cursors.advance(node, NAME, 6, &aside).await.unwrap());
    let operator = fixture.operator().await;
    let list = async |start| {
        let page = PageRequest { limit: 2, start };
        let page = fixture.store().dead_letters(&operator, page).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|letter| letter.id.position).collect();
        (ids, page)
    };
    let (ids, page) = list(Start::Beginning).await;
    assert_eq!((ids, page.prev), (vec![1, 3], None));
    let letter = &page.items[0];
    assert_eq!(
        (&*letter.aggregate, &*letter.kind, &*letter.error, letter.attempts),
        ("a", "parcel.sent", "no_good", 3)
    );
    assert_eq!((letter.holds_back, letter.again, letter.tenant), (1, false, None));
    let (ids, page) = list(Start::After(page.next.unwrap())).await;
    assert_eq!((ids, page.next), (vec![5], None));
    let (ids, _) = list(Start::Before(page.prev.unwrap())).await;
    assert_eq!(ids, [1, 3]);

    let retry = async |position, commits: bool| {
        let id = DeadLetterId {
            position,
            subscriber: NAME.to_owned(),
        };
        let mut tx = fixture.store().begin_as_operator(&operator).await.unwrap();
        let found = tx.deliver_again(&operator, &id).await.unwrap();
        if commits {
            tx.commit(Record::InHistory).await.unwrap();
        }
        found
    };
    assert!(retry(3, false).await && !take(&fixture, node).await.unwrap().again);
    assert!(!retry(2, true).await, "it only waits");
    assert!(!retry(4, true).await);
    assert!(retry(3, true).await);
    assert!(take(&fixture, node).await.unwrap().again);
    assert_eq!(
        cursors.to_deliver_again(NAME, 9).await.unwrap(),
        [refused(3, "b")]
    );
    let subscriber = fixture.status().await.subscribers.remove(0);
    assert_eq!((subscriber.dead_letters, subscriber.held_back), (3, 1));
}

/// Everything that was refused with an error is wanted again, up to so many at a time; what is refused again is not.
pub async fn what_is_refused_again_is_wanted_no_more<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let cursors = &fixture.ports().cursors;
    let another_error = SetAside {
        error: Some("another".to_owned()),
        ..refused(3, "c")
    };
    let aside = [refused(1, "a"), refused(2, "b"), another_error, waiting(4, "a")];
    assert!(cursors.advance(node, NAME, 6, &aside).await.unwrap());
    let wanted = async |limit| cursors.to_deliver_again(NAME, limit).await.unwrap();
    cursors.reconsider("nobody", "no_good").await.unwrap();
    assert_eq!(wanted(9).await, []);
    cursors.reconsider(NAME, "no_good").await.unwrap();
    assert_eq!(wanted(1).await, aside[..1]);
    assert_eq!(wanted(9).await, aside[..2]);
    for (position, left) in [(1, &aside[1..2]), (2, &[])] {
        assert!(take(&fixture, node).await.unwrap().again);
        let refused = cursors.refused_again(node, NAME, position, 1, "no_good").await;
        assert!(refused.unwrap());
        assert_eq!(wanted(9).await, left);
    }
    assert!(!take(&fixture, node).await.unwrap().again);
}

/// What the operator gives up is listed no more, and told to whoever runs the subscriber; only the first of an aggregate
/// can be.
pub async fn the_operator_discards_dead_letters<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let node = held(&fixture).await;
    let cursors = &fixture.ports().cursors;
    let aside = [refused(1, "a"), waiting(2, "a"), refused(3, "b"), waiting(4, "a")];
    assert!(cursors.advance(node, NAME, 6, &aside).await.unwrap());
    let operator = fixture.operator().await;
    let discard = async |position, commits: bool| {
        let id = DeadLetterId {
            position,
            subscriber: NAME.to_owned(),
        };
        let mut tx = fixture.store().begin_as_operator(&operator).await.unwrap();
        let held_back = tx.discard(&operator, &id).await.unwrap();
        assert_eq!(tx.discard(&operator, &id).await.unwrap(), None, "once");
        let retried = tx.deliver_again(&operator, &id).await.unwrap();
        assert!(!retried, "it is given up, or was none");
        if commits {
            tx.commit(Record::InHistory).await.unwrap();
        }
        held_back
    };
    assert_eq!((discard(2, true).await, discard(5, true).await), (None, None));
    assert_eq!(discard(1, false).await, Some(2));
    assert!(!take(&fixture, node).await.unwrap().again);
    assert_eq!(discard(1, true).await, Some(2));
    assert_eq!(discard(1, true).await, None, "it was before");
    assert!(take(&fixture, node).await.unwrap().again, "its holder is to look");
    let given_up = SetAside {
        discarded: true,
        ..refused(1, "a")
    };
    assert_eq!(
        cursors.to_deliver_again(NAME, 9).await.unwrap(),
        std::slice::from_ref(&given_up)
    );
    assert_eq!(
        cursors.first_set_aside(NAME, &of("a")).await.unwrap(),
        Some(given_up)
    );
    let page = fixture
        .store()
        .dead_letters(&operator, PageRequest::first(9))
        .await;
    let listed: Vec<i64> = page
        .unwrap()
        .items
        .iter()
        .map(|letter| letter.id.position)
        .collect();
    assert_eq!(listed, [3]);
    let subscriber = fixture.status().await.subscribers.remove(0);
    assert_eq!((subscriber.dead_letters, subscriber.held_back), (1, 2));
}
