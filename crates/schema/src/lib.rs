//! Postrider's JSON Schemas (2020-12): compiled when they are registered, and applied to payloads, in bounded time and
//! memory, whoever wrote them.
//!
//! * **Nothing is fetched**: a `$ref` is a JSON pointer within the schema, or it is refused. So are other anchors and
//!   dialects.
//! * **Nothing recurs**: a reference that leads back to itself is refused. What is left is a tree, and how large it is
//!   with every reference written out is counted before anything is compiled ([`Limits`]): a schema of a few lines
//!   that doubles itself with every definition is a large one.
//! * **Patterns take time in proportion to the text**: the `regex` engine, whose programs are bounded; look-around and
//!   back-references do not compile, and are refused.
//! * **The product counts**: how many values a payload has, times how many a schema has, is bounded. What lies
//!   above is answered as too costly, before any of it is done.
//! * **Memory is counted**: what a schema amounts to when it is compiled, programs of patterns above all, is bounded
//!   for each, and what is kept is weighed by that, not by the length of its text.
//! * **Few at a time**: what is more than a moment's work has a thread to itself, of a bounded number, of which one
//!   tenant never has all.

mod apply;
mod bounded;
mod faults;
mod measure;

pub use bounded::{BoundedSchemas, SchemaOptions};

/// How much a schema may be, and what may be done with it. Installations have these alike, so that a schema that was
/// accepted once is accepted elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How deeply the schema may nest, references written out.
    pub depth: u32,
    /// How many values it may hold, references written out.
    pub weight: u64,
    /// How many patterns among them.
    pub patterns: u64,
    /// How long its names, texts and patterns may be together, references written out, in bytes.
    pub text: u64,
    /// How large it may become when it is compiled, in bytes.
    pub compiled: u64,
    /// How many times a value of a payload may be held against a value of a schema.
    pub cost: u64,
    /// The same for what is done at once, without a thread of its own.
    pub small_cost: u64,
    /// Above this, the first fault found is not followed by others.
    pub all_faults_cost: u64,
    /// How many faults are told.
    pub faults: usize,
}

/// The bounds of every schema.
pub const LIMITS: Limits = Limits {
    depth: 32,
    weight: 5_000,
    patterns: 100,
    text: 1 << 20,
    compiled: 32 << 20,
    cost: 20_000_000,
    small_cost: 50_000,
    all_faults_cost: 500_000,
    faults: 20,
};
