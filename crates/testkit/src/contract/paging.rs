//! Walking through lists, piece by piece.

use postrider_application::ports::{Page, PageRequest};

/// The beginning of a list, longer than what cases put into one.
pub(super) fn first<K>() -> PageRequest<K> {
    PageRequest {
        limit: 100,
        after: None,
    }
}

/// All pieces of a list, none longer than `limit`, and only the last one shorter.
pub(super) async fn pieces<T, K>(
    limit: u32,
    mut list: impl AsyncFnMut(PageRequest<K>) -> Page<T, K>,
) -> Vec<Vec<T>> {
    let (mut pieces, mut after) = (Vec::new(), None);
    loop {
        let page = list(PageRequest { limit, after }).await;
        assert!(
            page.items.len() <= limit as usize,
            "longer than what was asked for"
        );
        assert!(
            page.next.is_none() || page.items.len() == limit as usize,
            "more follows a piece that is not full"
        );
        pieces.push(page.items);
        after = page.next;
        if after.is_none() {
            return pieces;
        }
        assert!(pieces.len() < 100, "the list does not end");
    }
}
