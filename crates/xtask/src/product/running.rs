//! A running installation with a tenant to work for.

use super::{Installation, Tenant};
use crate::server::Server;

/// Dropping it stops the server, then removes the installation.
#[derive(Debug)]
pub struct Running {
    /// The server process.
    pub server: Server,
    /// The tenant.
    pub tenant: Tenant,
    /// The installation.
    pub installation: Installation,
}

impl Running {
    /// Makes the tenant (before the server holds the data directory's lock), serves, and sets the tenant up.
    pub fn begin(installation: Installation) -> anyhow::Result<Self> {
        let owner = installation.create_tenant()?;
        let server = installation.serve()?;
        let tenant = Tenant::set_up(&installation, &owner)?;
        Ok(Self {
            server,
            tenant,
            installation,
        })
    }

    /// What the server has logged, at level warning or above, and whether there was a panic.
    pub fn complaints(&self) -> Complaints {
        Complaints::of(&self.server.log())
    }
}

/// What a server's log holds against it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Complaints {
    /// Lines of a panic.
    pub panics: Vec<String>,
    /// What was complained of, and how often.
    pub others: Vec<(String, usize)>,
}

impl Complaints {
    /// What this log says.
    pub fn of(log: &str) -> Self {
        let mut complaints = Self::default();
        for line in log.lines().filter(|line| !line.trim().is_empty()) {
            if line.contains("panicked at") {
                complaints.panics.push(line.to_owned());
                continue;
            }
            let said = summary(line);
            match complaints.others.iter_mut().find(|(known, _)| *known == said) {
                Some((_, count)) => *count += 1,
                None => complaints.others.push((said, 1)),
            }
        }
        complaints
    }
}

/// Level, message and cause of a JSON line; another line as it is.
fn summary(line: &str) -> String {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
        return line.to_owned();
    };
    let parts = ["level", "message", "error"].map(|name| value[name].as_str());
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_counted_and_panics_stand_out() {
        let line = r#"{"level":"WARN","message":"lost the lease","error":"closed","target":"x"}"#;
        let complaints = Complaints::of(&format!("{line}\n\nthread 'a' panicked at b.rs:1:\n{line}\n"));
        assert_eq!(complaints.panics.len(), 1);
        assert_eq!(complaints.others, [("WARN lost the lease closed".to_owned(), 2)]);
    }
}
