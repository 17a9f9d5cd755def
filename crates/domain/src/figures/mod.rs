//! Figures: what happened at an endpoint in an hour, and in a tenant in a day, added up.

mod latencies;
mod tally;

pub use latencies::{Latencies, LatencyClass};
pub use tally::{EndpointFigures, LastFailure, UsageFigures, day_of, hour_of};
