use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Runs the HTTP client's own tasks (one a connection) so that they can be stopped and awaited.
#[derive(Clone, Default)]
pub(super) struct TrackedExecutor {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl TrackedExecutor {
    /// Stops all tasks; connections close.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    /// Waits until all tasks have ended.
    pub(super) async fn ended(&self) {
        self.tasks.wait().await;
    }
}

impl<F> hyper::rt::Executor<F> for TrackedExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled_owned(task).await;
        });
    }
}
