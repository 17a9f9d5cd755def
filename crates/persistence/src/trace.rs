//! Spans of transactions, by OpenTelemetry's conventions of databases: which database, that it is a transaction, and
//! whether it was committed; never statements or what they carry.

use opentelemetry::trace::get_active_span;
use tracing::{Span, field::Empty};

use crate::Dialect;

/// The span of a transaction that begins; none where nobody records the trace that it is in.
pub(crate) fn transaction_span(dialect: Dialect) -> Span {
    if !get_active_span(|span| span.span_context().is_sampled()) {
        return Span::none();
    }
    tracing::info_span!(
        "transaction",
        otel.kind = "client",
        db.system.name = system(dialect),
        db.operation.name = "transaction",
        committed = Empty,
    )
}

/// What the database is called in the conventions.
pub(crate) const fn system(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "postgresql",
        Dialect::Sqlite => "sqlite",
    }
}
