//! Walking through lists, piece by piece, there and back again.

use std::fmt::Debug;

use postrider_application::ports::{Page, PageRequest, Start};

/// The beginning of a list, longer than what cases put into one.
pub(super) fn first<K>() -> PageRequest<K> {
    PageRequest::first(100)
}

/// All pieces of a list, none longer than `limit`, and only the last one shorter. The way back from the last one
/// shows the same items.
pub(super) async fn pieces<T: Clone + PartialEq + Debug, K: Clone>(
    limit: u32,
    mut list: impl AsyncFnMut(PageRequest<K>) -> Page<T, K>,
) -> Vec<Vec<T>> {
    let (mut pieces, mut start) = (Vec::<Vec<T>>::new(), Start::Beginning);
    let mut back = loop {
        let page = list(PageRequest { limit, start }).await;
        assert!(
            page.items.len() <= limit as usize,
            "longer than what was asked for"
        );
        assert!(
            page.next.is_none() || page.items.len() == limit as usize,
            "more follows a piece that is not full"
        );
        assert_eq!(
            page.prev.is_some(),
            !pieces.is_empty() && !page.items.is_empty(),
            "a piece knows whether some came before"
        );
        pieces.push(page.items);
        match page.next {
            Some(key) => start = Start::After(key),
            None => break page.prev,
        }
        assert!(pieces.len() < 100, "the list does not end");
    };
    let mut rest: Vec<T> = pieces[..pieces.len() - 1].concat();
    while let Some(key) = back {
        let page = list(PageRequest {
            limit,
            start: Start::Before(key),
        })
        .await;
        assert!(page.next.is_some(), "what it was asked from follows");
        assert!(!page.items.is_empty(), "some came before");
        let kept = rest.len() - page.items.len();
        assert_eq!(rest.split_off(kept), page.items, "the way back shows the same");
        back = page.prev;
    }
    assert!(rest.is_empty(), "the way back ends at the beginning");
    pieces
}
