//! How SQL reads a piece of a list, in both directions.

use postrider_application::ports::PageRequest;
use sea_orm::Value;
use uuid::Uuid;

/// The order that a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The least key first.
    Ascending,
    /// The greatest key first.
    Descending,
}

/// A select's text with its marks `{beyond}` and `{order}` filled in, for a list in `order`: its rows come in the
/// order in which [`postrider_application::ports::Page::of`] wants them.
pub(crate) fn reading<K>(sql: &str, order: Order, page: &PageRequest<K>) -> String {
    let rising = (order == Order::Ascending) != page.backwards();
    let (beyond, direction) = if rising { (">", "ASC") } else { ("<", "DESC") };
    sql.replace("{beyond}", beyond).replace("{order}", direction)
}

/// The id that the rows lie beyond; at the beginning of a list, one that none has.
pub(crate) fn id_bound<K>(order: Order, page: &PageRequest<K>, id: impl FnOnce(&K) -> Uuid) -> Value {
    use postrider_application::ports::Start;
    match (&page.start, order) {
        (Start::After(key) | Start::Before(key), _) => id(key),
        (Start::Beginning, Order::Ascending) => Uuid::nil(),
        (Start::Beginning, Order::Descending) => Uuid::max(),
    }
    .into()
}

/// How many rows to read.
pub(crate) fn limit<K>(page: &PageRequest<K>) -> Value {
    (i64::from(page.limit) + 1).into()
}
