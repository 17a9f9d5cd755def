//! Lists, piece by piece, in both directions.

/// Where a piece of a list begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<K> {
    /// At the list's beginning.
    Beginning,
    /// With the first item after this key.
    After(K),
    /// So that its last item is the last one before this key: the way back.
    Before(K),
}

/// A bounded piece of a list: up to `limit` items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest<K> {
    /// The most items.
    pub limit: u32,
    /// Where it begins.
    pub start: Start<K>,
}

impl<K> PageRequest<K> {
    /// The first `limit` items.
    pub const fn first(limit: u32) -> Self {
        Self {
            limit,
            start: Start::Beginning,
        }
    }

    /// Whether the rows are to be read against the list's order, beginning with those next to the key.
    pub const fn backwards(&self) -> bool {
        matches!(self.start, Start::Before(_))
    }

    /// How many rows to read: one more than asked for says whether there is more.
    pub fn rows(&self) -> u64 {
        u64::from(self.limit) + 1
    }
}

impl<K: Copy> PageRequest<K> {
    /// The key that the piece begins after or ends before.
    pub const fn key(&self) -> Option<K> {
        match self.start {
            Start::Beginning => None,
            Start::After(key) | Start::Before(key) => Some(key),
        }
    }
}

/// A page, and the keys to ask for its neighbours with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The last item's key, if more follow: ask for what is [`Start::After`] it.
    pub next: Option<K>,
    /// The first item's key, if some may come before: ask for what is [`Start::Before`] it.
    pub prev: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Makes a page of up to [`PageRequest::rows`] rows, in the order in which they were read: the one too many only
    /// says that there is more in that direction. In the other direction lies at least the item that was asked from.
    pub fn of(mut rows: Vec<T>, request: &PageRequest<K>, key: impl Fn(&T) -> K) -> Self {
        let limit = request.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        if request.backwards() {
            rows.reverse();
        }
        let (first, last) = (rows.first().map(&key), rows.last().map(&key));
        let (next, prev) = match request.start {
            Start::Beginning => (last.filter(|_| more), None),
            Start::After(_) => (last.filter(|_| more), first),
            Start::Before(_) => (last, first.filter(|_| more)),
        };
        Self {
            items: rows,
            next,
            prev,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &[u32], start: Start<u32>) -> Page<u32, u32> {
        Page::of(rows.to_vec(), &PageRequest { limit: 2, start }, |row| *row)
    }

    fn is(page: Page<u32, u32>) -> (Vec<u32>, Option<u32>, Option<u32>) {
        (page.items, page.prev, page.next)
    }

    #[test]
    fn a_page_knows_its_neighbours() {
        assert_eq!(
            is(page(&[1, 2, 3], Start::Beginning)),
            (vec![1, 2], None, Some(2))
        );
        assert_eq!(is(page(&[1], Start::Beginning)), (vec![1], None, None));
        assert_eq!(
            is(page(&[3, 4, 5], Start::After(2))),
            (vec![3, 4], Some(3), Some(4))
        );
        assert_eq!(is(page(&[5], Start::After(4))), (vec![5], Some(5), None));
        assert_eq!(
            is(page(&[4, 3, 2], Start::Before(5))),
            (vec![3, 4], Some(3), Some(4))
        );
        assert_eq!(is(page(&[2, 1], Start::Before(3))), (vec![1, 2], None, Some(2)));
        assert_eq!(is(page(&[], Start::After(9))), (vec![], None, None));
    }
}
