//! How far nodes have seen the log, hearing of it, and waiting for it.

use async_trait::async_trait;

use crate::ports::{Epoch, StoreError};

/// How far nodes have seen the log: a node that has seen an event remembers nothing that was true only before it.
#[async_trait]
pub trait NodeSight: Send + Sync {
    /// The node has seen everything up to `position`. Never goes back; tells those that wait for it.
    async fn note_seen(&self, node: Epoch, position: i64) -> Result<(), StoreError>;

    /// How many living nodes have not seen everything up to `position` yet, or, if none is given, up to the newest
    /// event; and which position that is.
    async fn unseen(&self, position: Option<i64>) -> Result<Unseen, StoreError>;
}

/// Who has not seen what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    /// Up to where.
    pub position: i64,
    /// How many living nodes have not seen it.
    pub nodes: u32,
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The log has grown, or the operator wants something delivered again.
    Events,
    /// A node has seen more of it.
    Seen,
    /// Nothing was missed from here on; before, anything may have been.
    Anew,
}

/// Hears what other nodes say of the log. Only a hint: a slow look is the net beneath it.
#[async_trait]
pub trait EventBell: Send + Sync {
    /// Waits until something is said. Where no other node can be, for ever. One caller at a time.
    async fn heard(&self) -> Result<Heard, StoreError>;
}

/// This node's life, as whoever works under its lease knows it.
#[async_trait]
pub trait NodeLife: Send + Sync {
    /// The epoch of the current life; none between two lives.
    fn epoch(&self) -> Option<Epoch>;

    /// Whether that life goes on and its lease runs, judged now.
    fn holds(&self, epoch: Epoch) -> bool;

    /// Waits until the current life is another one than `known`.
    async fn changed(&self, known: Option<Epoch>);
}

/// Waits for the whole installation.
#[async_trait]
pub trait ClusterBarrier: Send + Sync {
    /// Returns when every living node has seen everything that was committed before this call: none of them begins
    /// anything any more by what was true only before. A node whose lease ran out begins nothing.
    ///
    /// Fails if that cannot be told within the time that leases run for, and some more.
    async fn passed(&self) -> Result<(), StoreError>;
}
