//! Replays: rows and views, and the steps that they are made in.

mod candidates;
mod queueing;
mod row;
mod steps;
mod views;
