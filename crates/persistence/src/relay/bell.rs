//! Hearing that the log has grown, or that a node has seen more of it: NOTIFY on PostgreSQL, said within the statement
//! that did it, which is never a hot one. On SQLite there is no other node.

use std::future;

use async_trait::async_trait;
use postrider_application::ports::{EventBell, Heard, StoreError};

use crate::{SqlStore, bell::Listening, connection::Dialect};

/// Channels are a database's, and an installation is one of its schemas.
macro_rules! events_channel {
    () => {
        "'postrider_events_' || (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
    };
}
/// The same as [`NOTIFY_EVENTS`], for statements that are written down whole.
macro_rules! notify_events {
    () => {
        concat!(
            "SELECT pg_notify(",
            $crate::relay::events_channel!(),
            ", 'events')"
        )
    };
}
pub(crate) use events_channel;
pub(crate) use notify_events;

const CHANNEL: &str = concat!("SELECT ", events_channel!());
/// Said of a node that has seen more.
const SEEN: &str = "seen";

/// What tells all nodes, at the commit, that there is something for the relay. In PostgreSQL's words.
pub(crate) const NOTIFY_EVENTS: &str = notify_events!();

#[async_trait]
impl EventBell for SqlStore {
    async fn heard(&self) -> Result<Heard, StoreError> {
        if self.database.dialect() == Dialect::Sqlite {
            future::pending::<()>().await;
        }
        Ok(match self.event_bell.next(&self.database, CHANNEL).await? {
            Listening::Anew => Heard::Anew,
            Listening::Said(what) if what == SEEN => Heard::Seen,
            Listening::Said(_) => Heard::Events,
        })
    }
}
