use crate::{configuration::Configuration, files::Files};

/// Whether somebody has to be told of a limit of open files: more clients were asked for than it has room for, or the rest
/// of the process has too little beside the quarter that is the clients'. That there are fewer clients than the default
/// says is no fault of anybody's.
pub(super) fn must_be_told(configuration: &Configuration, limit: Option<u64>) -> bool {
    let wanted = Files::wanted(configuration);
    let too_low = limit.is_some_and(|limit| wanted.ours > limit - limit / 4);
    let asked = configuration.server.max_connections_per_worker.is_some();
    too_low || (asked && wanted.fewer_clients(limit).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_of_where_it_keeps_somebody_from_what_they_asked_for() {
        let mut configuration = Configuration::default();
        let wanted = Files::wanted(&configuration);
        let (enough, bare) = (wanted.ours + wanted.of_clients, wanted.ours / 3 * 4);
        let told = |configuration: &Configuration, limit| must_be_told(configuration, Some(limit));
        assert!(wanted.fewer_clients(Some(enough - 1)).is_some());
        for limit in [enough, enough - 1, bare] {
            assert!(!told(&configuration, limit), "nobody asked for more: {limit}");
        }
        assert!(told(&configuration, bare - 2), "attempts have no room");
        assert!(!must_be_told(&configuration, None));
        configuration.server.max_connections_per_worker = Some(10_000);
        assert!(!told(&configuration, enough));
        assert!(told(&configuration, enough - 1));
    }
}
