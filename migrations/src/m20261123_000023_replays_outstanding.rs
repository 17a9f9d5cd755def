//! Why: a replay waits while too many of the rows that it has put into the queue are still there. `outstanding` are the
//! ids of their messages, one after the other (16 bytes each), so that each is looked for by its key. Without them the
//! queue is walked, whoever's its rows are (docs/adr/0026).
//!
//! Empty is a replay that has nothing in the queue, or that a node of before has begun: it may then once have as many
//! rows again in the queue as it may have. Adding the column rewrites nothing; who is in the way for longer than seconds
//! makes the migration fail, and nothing has changed.

use crate::ddl::is_postgres;

const COLUMN: &str = "ALTER TABLE replays ADD COLUMN outstanding @bytes";

crate::ddl::migration!(manager => if is_postgres(manager) {
    vec!["SET LOCAL lock_timeout = '2s'", COLUMN]
} else {
    vec![COLUMN]
});
