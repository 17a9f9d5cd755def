//! A look at what waits is as short when the queue is long.

use std::time::{Duration, Instant};

use postrider_application::ports::Backlogs as _;

use crate::{
    on_both,
    outside::Outside,
    support::{PostgresHarness, SqliteHarness},
};

/// Rows of each kind: due, for later, parked, a dead node's.
const EACH: u32 = 100_000;
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

/// The shortest of several looks, and the last answer.
async fn look<O: Outside>(harness: &O, most: u32) -> (Duration, [u64; 3]) {
    let (mut shortest, mut seen) = (Duration::MAX, [0; 3]);
    for _ in 0..5 {
        #[expect(clippy::disallowed_methods, reason = "it is a measurement")]
        let began = Instant::now();
        let queue = harness.store().backlog(most).await.unwrap().queue;
        shortest = shortest.min(began.elapsed());
        seen = [queue.due, queue.scheduled, queue.parked];
    }
    (shortest, seen)
}

/// Long enough that a walk through the table would show.
async fn a_look_at_a_long_queue_is_short<O: Outside>(harness: &O) {
    let (empty, _) = look(harness, MOST).await;
    // Unknown to the planner: nobody has looked at the table since it was empty.
    for (number, (owner, due_at)) in [(0, 0), (0, i64::MAX / 2), (-1, 0), (1 << 40, 0)]
        .into_iter()
        .enumerate()
    {
        let first = 1 + EACH * u32::try_from(number).unwrap();
        queue(harness, owner, due_at, first).await;
    }
    let (long, seen) = look(harness, MOST).await;
    assert_eq!(seen, [u64::from(MOST); 3]);
    let (whole, all) = look(harness, EACH * 4).await;
    let each = u64::from(EACH);
    assert_eq!(all, [each * 2, each, each]);
    assert!(
        long * 3 < whole + empty * 3,
        "{long:?} against {whole:?} for the whole queue"
    );
}

on_both! { a_look_at_a_long_queue_is_short; }
