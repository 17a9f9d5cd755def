//! How it starts, how it ends, and what `doctor` finds.

mod doctor;
mod ending;
mod waiting;

use super::stage::Stage;

/// Runs all of it.
pub(super) fn run(stage: &Stage<'_>) -> anyhow::Result<()> {
    for (database, server) in stage.servers() {
        println!("{}", database.name());
        doctor::run(stage.binary, server)?;
        ending::run(stage.binary, server)?;
        if let Some(server) = server {
            waiting::run(stage.binary, server)?;
        }
    }
    Ok(())
}
