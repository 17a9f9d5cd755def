//! A look at what waits counts up to its bound, however long the queue is.

use postrider_application::ports::Backlogs as _;

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness},
};

/// Rows of each kind: due, for later, parked, a dead node's.
const EACH: u32 = 10_000;
/// Up to how many are counted.
const MOST: u32 = 1_000;

/// Rows of one owner, from the `first` on.
async fn queue<O: Outside>(harness: &O, owner: i64, due_at: i64, first: u32) {
    let (numbers, id) = if O::IS_POSTGRES {
        (
            format!("SELECT n FROM generate_series({first}, {first} + {EACH} - 1) AS n"),
            "lpad(to_hex(n), 32, '0')::uuid",
        )
    } else {
        (
            format!(
                "WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers
                 WHERE n < {first} + {EACH} - 1) SELECT n FROM numbers"
            ),
            "unhex(printf('%032x', n))",
        )
    };
    let rows = format!(
        "INSERT INTO outbox_work (id, tenant, app, message, endpoint, due_at, owner, claim, attempts, failures, seq)
         SELECT {id}, {id}, {id}, {id}, {id}, {due_at}, {owner}, 0, 0, 0, n FROM ({numbers}) AS all_of_them"
    );
    harness.run(&rows).await;
}

async fn look<O: Outside>(harness: &O, most: u32) -> [u64; 3] {
    let queue = harness.store().backlog(most).await.unwrap().queue;
    [queue.due, queue.scheduled, queue.parked]
}

async fn a_look_at_a_long_queue_ends_at_its_bound<O: Outside>(harness: &O) {
    // Unknown to the planner: nobody has looked at the table since it was empty.
    for (number, (owner, due_at)) in [(0, 0), (0, i64::MAX / 2), (-1, 0), (1 << 40, 0)]
        .into_iter()
        .enumerate()
    {
        let first = 1 + EACH * u32::try_from(number).unwrap();
        queue(harness, owner, due_at, first).await;
    }
    assert_eq!(look(harness, MOST).await, [u64::from(MOST); 3]);
    let each = u64::from(EACH);
    assert_eq!(look(harness, EACH * 4).await, [each * 2, each, each]);
}

on_both! { a_look_at_a_long_queue_ends_at_its_bound; }
