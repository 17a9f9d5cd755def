//! People, their places in tenants, their logins, and whom a tenant invites.

mod identities;
mod invitations;
mod members;
mod memberships;
mod people;
mod person;
mod sessions;
mod views;
