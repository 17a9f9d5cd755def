//! What nobody asks for: receivers, and the inside of a node.

use postrider_domain::deliveries::CapturedHeaders;
use postrider_engine::{EngineOptions, HttpOptions, IntakeOptions};
use postrider_persistence::PostgresOptions;

use super::{
    Bound,
    words::{bytes, count, number, time},
};

pub(super) fn receivers() -> Vec<Bound> {
    let http = HttpOptions::default();
    vec![
        (
            "Addresses of a name that are tried",
            count(HttpOptions::MAX_ADDRESSES),
            "not tried",
        ),
        (
            "Status line and headers of an answer",
            bytes(http.max_response_header_bytes),
            "the attempt fails",
        ),
        (
            "Headers of an answer",
            count(HttpOptions::MAX_RESPONSE_HEADERS),
            "the attempt fails",
        ),
        (
            "Body of an answer that is read",
            bytes(http.max_response_read_bytes),
            "the connection is closed; the status counts",
        ),
        (
            "Headers of an answer that are kept",
            count(CapturedHeaders::MAX_HEADERS),
            "left out",
        ),
        ("Bytes of them", bytes(CapturedHeaders::MAX_BYTES), "left out"),
        (
            "Unused connections to one host",
            count(http.pool_max_idle_per_host),
            "closed",
        ),
        ("Time that one is kept", time(http.pool_idle_timeout), "closed"),
    ]
}

pub(super) fn insides() -> Vec<Bound> {
    let (engine, intake) = (EngineOptions::default(), IntakeOptions::default());
    let database = PostgresOptions::at("");
    let again = "given up, and repeated";
    vec![
        (
            "Bytes of one commit of messages",
            bytes(intake.batch_bytes),
            "the next one; a longer payload alone",
        ),
        (
            "One try of a commit",
            time(intake.write_timeout),
            "tried again until `intake.accept_timeout_ms`",
        ),
        (
            "Wait of an answer while deliveries do not keep up",
            time(intake.slow_down_for_at_most),
            "answered",
        ),
        (
            "Rows of a claim",
            number(engine.claim_batch.into()),
            "the next one",
        ),
        ("Outcomes of a settle", count(engine.settle_batch), "the next one"),
        ("Time that outcomes gather", time(engine.settle_gather), "written"),
        (
            "Lease of a node",
            time(engine.lease_ttl),
            "others take its work over",
        ),
        (
            "Beat of the lease",
            time(engine.lease_beat),
            "late beats stop it before the lease ends",
        ),
        (
            "Look at the queue without a signal",
            time(engine.poll_net_interval),
            "looked at",
        ),
        (
            "A call of the store by the engine",
            time(engine.store_timeout),
            again,
        ),
        (
            "Work of PostgreSQL on a statement",
            time(database.statement_timeout),
            "503 `unavailable`",
        ),
        (
            "Answer of PostgreSQL to a statement",
            time(database.answer_timeout),
            "503 `unavailable`; the connection is closed",
        ),
        (
            "Lock that a migration waits for on PostgreSQL",
            time(database.migration_lock_timeout),
            "it fails, and is run again",
        ),
    ]
}
