//! Somebody else saves what we are about to change.

use crate::ports::StoreError;

/// How often a change is begun when somebody else saves the same between our reading and writing it, before we give up
/// for now.
pub(crate) const TRIES: usize = 3;

/// Does `change`, and does it anew while what it read was saved by somebody else before it could write it.
pub(crate) async fn again_while_stale<T, F>(change: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 1;
    loop {
        match change().await {
            Err(StoreError::Stale) if tries < TRIES => tries += 1,
            ended => return ended,
        }
    }
}
