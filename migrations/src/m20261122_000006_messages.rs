//! Why: history begins here: one event published to one application, and its exact bytes.
//!
//! The id comes first in the keys of all history: it is a UUIDv7, so that rows are appended rather than scattered
//! over one tree for each tenant (measured: an eighth of the WAL). Payloads have a table of their own, so that
//! they can go earlier than the messages. No foreign keys: history is pruned by age, not by reference. On SQLite
//! payloads are an ordinary table, as large values are poor company in the key's tree.

crate::ddl::migration!(
    "CREATE TABLE messages (
        id @uuid NOT NULL CONSTRAINT messages_pkey PRIMARY KEY,
        tenant @uuid NOT NULL,
        app @uuid NOT NULL,
        event_type @text NOT NULL,
        channels @json NOT NULL,
        event_id @text,
        content_type @text NOT NULL,
        payload_bytes @big NOT NULL,
        created_at @time NOT NULL,
        trace @text
    ) @keyed",
    "CREATE TABLE payloads (
        message @uuid NOT NULL CONSTRAINT payloads_pkey PRIMARY KEY,
        tenant @uuid NOT NULL,
        body @bytes NOT NULL
    ) @rows",
);
