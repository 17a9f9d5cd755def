//! How many files a server may have open, and what it needs them for.

use crate::configuration::Configuration;

/// What a process needs of files besides connections.
const OTHER_FILES: u64 = 256;
/// What a client's connection is among them: its socket, and the handle by which one that asks nothing is ended.
const FILES_OF_A_CLIENT: u64 = 2;

/// What is wanted of them, by the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files {
    /// For attempts in flight, the database's connections and the process itself.
    pub(crate) ours: u64,
    /// For clients, if as many come as may.
    pub(crate) of_clients: u64,
    workers: u64,
}

impl Files {
    /// As `configuration` wants them, with as many workers as the API's listener has by default: one a processor.
    pub(crate) fn wanted(configuration: &Configuration) -> Self {
        let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self::wanted_with(configuration, workers)
    }

    fn wanted_with(configuration: &Configuration, workers: usize) -> Self {
        let database = match configuration.database.url {
            Some(_) => u64::from(configuration.database.max_connections),
            None => 0,
        };
        let workers = workers as u64;
        Self {
            ours: configuration.delivery.max_in_flight as u64 + database + OTHER_FILES,
            of_clients: configuration.server.connections_per_worker() as u64 * workers * FILES_OF_A_CLIENT,
            workers,
        }
    }

    /// How many clients a worker may hold within `limit` (none: no limit), if that is less than the configuration wants. A
    /// quarter of the files is theirs in any case.
    pub(crate) fn fewer_clients(self, limit: Option<u64>) -> Option<usize> {
        let limit = limit?;
        if self.ours + self.of_clients <= limit {
            return None;
        }
        let left = limit.saturating_sub(self.ours).max(limit / 4);
        let clients = left.min(self.of_clients) / FILES_OF_A_CLIENT / self.workers;
        usize::try_from(clients.max(1)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_as_many_as_there_are_files_for() {
        let files = Files::wanted_with(&Configuration::default(), 2);
        assert_eq!((files.ours, files.of_clients), (2_304, 40_000));
        assert_eq!(files.fewer_clients(None), None);
        assert_eq!(files.fewer_clients(Some(42_304)), None);
        assert_eq!(files.fewer_clients(Some(6_304)), Some(1_000));
        assert_eq!(files.fewer_clients(Some(1_024)), Some(64), "a quarter");
        assert_eq!(files.fewer_clients(Some(1)), Some(1));
    }
}
