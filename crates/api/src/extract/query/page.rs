use super::query;

query! {
    /// Which part of a list.
    PageQuery {
        /// The most items; 50 if absent.
        #[param(value_type = Option<u32>, minimum = 1, maximum = 250, default = 50)]
        limit,
        /// The `next` or `prev` of another page, asked with the same filters. Opaque: take it as it is.
        #[param(max_length = 512)]
        cursor,
    }
}
