//! Deliveries: the queue (claim, settle), history, resending.

mod claim;
mod failed;
mod list;
mod queue;
mod repository;
mod row;
mod settle;
mod settle_postgres;
mod settle_sqlite;
mod views;

#[cfg(test)]
pub(crate) use failed::example as failed_example;
