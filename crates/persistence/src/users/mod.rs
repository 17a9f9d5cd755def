//! People, their places in tenants, and their logins.

mod identities;
mod memberships;
mod people;
mod sessions;
