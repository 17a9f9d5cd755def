//! Ids of spans: at random, but for attempts, whose ids follow from which attempt they are. So an attempt is joined to
//! the one before it, which another node may have made, and nothing is kept for that.

use opentelemetry::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

/// Asks the engine first.
#[derive(Debug, Default)]
pub(super) struct SpanIds {
    random: RandomIdGenerator,
}

impl IdGenerator for SpanIds {
    fn new_trace_id(&self) -> TraceId {
        self.random.new_trace_id()
    }

    fn new_span_id(&self) -> SpanId {
        postrider_engine::next_span_id().unwrap_or_else(|| self.random.new_span_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_unless_the_engine_wants_one() {
        let ids = SpanIds::default();
        let (one, other) = (ids.new_span_id(), ids.new_span_id());
        assert!(one != other && one != SpanId::INVALID && other != SpanId::INVALID);
        assert_ne!(ids.new_trace_id(), ids.new_trace_id());
    }
}
