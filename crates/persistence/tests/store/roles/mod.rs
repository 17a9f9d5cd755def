//! PostgreSQL itself keeps tenants apart: its roles, their rights, and row-level security.

mod accounts;
mod logins;
mod preparing;
mod probe;
mod rights;
mod rows;
mod sabotage;
mod tables;
