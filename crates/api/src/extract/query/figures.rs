use super::query;

query! {
    /// How far back stats look.
    StatsQuery {
        /// `1h`, `24h` or `7d`; 24 hours if absent.
        #[param(example = "24h", default = "24h")]
        period,
    }
}

query! {
    /// Which days of usage.
    UsageQuery {
        /// The first day (UTC); thirty days before the last if absent. At most 366 days are answered.
        #[param(format = "date", example = "2026-10-23")]
        from,
        /// The last day (UTC); today if absent.
        #[param(format = "date", example = "2026-11-22")]
        to,
    }
}
