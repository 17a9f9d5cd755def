//! `postrider dev`: the whole product on an empty machine, and a ride through it.

mod client;
mod demo;
mod directory;
mod ride;
mod screen;
mod shop;

pub(crate) use directory::{Directory, refuse_dev_directory};
pub(crate) use ride::{Ports, run};

/// Why `dev` could not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    /// The directory cannot be used.
    #[error("{0}")]
    Directory(String),
    /// A file or a socket.
    #[error("input/output")]
    Io(#[from] std::io::Error),
    /// No port is free.
    #[error("no free port from {0} on")]
    NoPort(u16),
    /// The platform did not open.
    #[error("Postrider did not start")]
    Open(#[from] postrider_api::composition::OpenError),
    /// A use case refused.
    #[error("the demo could not be prepared")]
    UseCase(#[from] postrider_application::Error),
    /// The API refused.
    #[error("the demo could not be prepared")]
    Client(#[from] client::ClientError),
    /// The API's answer is not what it should be.
    #[error("the API's answer lacks a usable `{0}`")]
    UnexpectedAnswer(&'static str),
    /// The remembered state is not ours.
    #[error("demo.json in the data directory is broken; remove the directory to start anew")]
    BrokenState,
}
