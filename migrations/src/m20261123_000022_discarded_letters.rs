//! Why: an event that a subscriber will never take must be possible to give up, or it holds its aggregate, and the log
//! behind it, for ever: `discarded` says that the operator did, and whoever runs the subscriber passes it over.
//!
//! An aggregate with much that waits must not take up all the room: `later_in_log` stands at the last event of one that
//! is written down; those after it are read from the log again when it is their turn.

use crate::ddl::is_postgres;

const DISCARDED: &str = "ALTER TABLE dead_letters ADD COLUMN discarded @bool NOT NULL DEFAULT @false";
const LATER_IN_LOG: &str = "ALTER TABLE dead_letters ADD COLUMN later_in_log @bool NOT NULL DEFAULT @false";

crate::ddl::migration!(manager => if is_postgres(manager) {
    // The relay must not queue up behind whoever reads the table for long.
    vec!["SET LOCAL lock_timeout = '2s'", DISCARDED, LATER_IN_LOG]
} else {
    vec![DISCARDED, LATER_IN_LOG]
});
