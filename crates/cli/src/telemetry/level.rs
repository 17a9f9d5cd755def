//! What is logged, changeable while the process runs.

use std::sync::Arc;

use postrider_api::management::{LogControl, LogControlError};
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::clients::FaultsOfClients;

/// The filter of log lines, behind a handle, and what goes by the level besides.
#[derive(Clone)]
pub(super) struct Level {
    handle: reload::Handle<EnvFilter, Registry>,
    clients: Arc<FaultsOfClients>,
}

impl Level {
    /// `directives` were validated with the configuration; of any others `info` is made.
    pub(super) fn new(
        directives: &str,
        clients: Arc<FaultsOfClients>,
    ) -> (Self, reload::Layer<EnvFilter, Registry>) {
        let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
        let (filter, handle) = reload::Layer::new(filter);
        (Self { handle, clients }, filter)
    }
}

impl LogControl for Level {
    fn directives(&self) -> String {
        // It fails only when the subscriber is gone, at the very end.
        self.handle.with_current(ToString::to_string).unwrap_or_default()
    }

    fn change(&self, directives: &str) -> Result<(), LogControlError> {
        let filter = EnvFilter::try_new(directives).map_err(|_| LogControlError::Unreadable)?;
        self.handle.reload(filter).map_err(|_| LogControlError::Gone)?;
        self.clients.follow(directives);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Layer as _, layer::SubscriberExt as _};

    use super::{super::written::Written, *};

    #[test]
    fn the_level_changes_while_it_runs_and_nonsense_changes_nothing() {
        let written = Written::default();
        let (level, filter) = Level::new("warn", Arc::new(FaultsOfClients::at("warn")));
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(written.clone())
            .with_filter(filter);
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("one");
            level.change("info").unwrap();
            tracing::info!("two");
            assert!(matches!(
                level.change("info,=="),
                Err(LogControlError::Unreadable)
            ));
            assert_eq!(level.directives(), "info");
            tracing::info!("three");
        });
        let written = written.text();
        assert!(!written.contains("one"), "{written}");
        assert!(written.contains("two") && written.contains("three"), "{written}");
    }
}
