//! Postrider's REST API: routes, wire types, problems, middleware and composition.
//!
//! The way in is always the same: route, caller, command or query, mediator. Routes hold no logic; they turn
//! wire forms into requests of the application and its answers into wire forms.
//!
//! | module | what lives there |
//! |---|---|
//! | [`app`](fn@app), `pipeline` | the application with its middleware, whose order is written once |
//! | `answer` | what commands answer, and what is kept of it for whoever repeats them |
//! | `authentication` | who calls; answered before path, type or body are looked at |
//! | [`fixed_bounds`] | what cannot be set, from the code |
//! | `connections` | connections on which nothing is asked are ended |
//! | `health` | how the process is, as others reported it |
//! | `export` | an export on its way, for as long as whoever asked for it may have it |
//! | `measure` | rate, errors and duration of each route |
//! | `origin` | where a request comes from, as far as our own proxies vouch for it |
//! | `rates`, `cors`, `stations` | who may ask how often, and from which page; what all answers have in common |
//! | `routes` | one file a resource |
//! | `wire` | what requests and answers look like, one file a resource |
//! | `extract` | bodies and queries, read strictly |
//! | `problem` | RFC 9457: the one place that knows HTTP statuses, and the page of each code |
//! | [`composition`] | where the crates become one system |
//! | [`management`] | the listener for whoever runs it: metrics, health, log level |
//! | [`openapi_json`] | the document, from the code |
//! | [`permissions_markdown`] | who may do what, from the code |

mod answer;
mod authentication;
mod bounds;
pub mod composition;
mod connections;
mod context;
mod cors;
mod export;
mod extract;
mod health;
pub mod management;
mod measure;
mod openapi;
mod origin;
mod permissions;
mod pipeline;
mod problem;
mod rates;
mod request_id;
mod routes;
mod stations;
mod telemetry;
mod wire;

pub use bounds::{FixedBound, fixed_bounds};
pub use context::{ApiContext, App, Limits};
pub use cors::AllowedOrigins;
pub use health::{Check, Health, Liveness, Startup, Subject};
pub use openapi::openapi_json;
pub use permissions::permissions_markdown;
pub use pipeline::app;
pub use rates::{RateLimit, RateLimits, RateOptions};
pub use telemetry::OtelTracePropagation;
