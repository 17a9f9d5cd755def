use std::fmt;

use serde_json::{Value, json};

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Ok,
    Warning,
    Failed,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug)]
struct Finding {
    name: &'static str,
    status: Status,
    detail: String,
    advice: Option<String>,
}

/// What was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    /// It is as it should be.
    pub(super) fn ok(&mut self, name: &'static str, detail: impl Into<String>) {
        self.push(name, Status::Ok, detail.into(), None);
    }

    /// It works, and somebody should see to it.
    pub(super) fn warning(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.push(name, Status::Warning, detail.into(), Some(advice.into()));
    }

    /// It does not work.
    pub(super) fn failed(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.push(name, Status::Failed, detail.into(), Some(advice.into()));
    }

    fn push(&mut self, name: &'static str, status: Status, detail: String, advice: Option<String>) {
        self.0.push(Finding {
            name,
            status,
            detail,
            advice,
        });
    }

    /// Whether anything does not work.
    pub(super) fn is_failed(&self) -> bool {
        self.count(Status::Failed) > 0
    }

    fn count(&self, status: Status) -> usize {
        self.0.iter().filter(|finding| finding.status == status).count()
    }

    /// One JSON object, on one line.
    pub(super) fn json(&self) -> Value {
        let worst = self
            .0
            .iter()
            .map(|finding| finding.status)
            .max()
            .unwrap_or(Status::Ok);
        let checks: Vec<Value> = self
            .0
            .iter()
            .map(|finding| {
                json!({
                    "name": finding.name,
                    "status": finding.status.name(),
                    "detail": finding.detail,
                    "advice": finding.advice,
                })
            })
            .collect();
        json!({ "status": worst.name(), "checks": checks })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            let detail = finding.detail.replace('\n', "\n                        ");
            writeln!(f, "{:<8} {:<14} {detail}", finding.status.name(), finding.name)?;
            if let Some(advice) = &finding.advice {
                writeln!(f, "{:23} -> {advice}", "")?;
            }
        }
        writeln!(
            f,
            "{} ok, {} to be seen to, {} failed",
            self.count(Status::Ok),
            self.count(Status::Warning),
            self.count(Status::Failed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_fails_if_one_thing_does_and_says_what_to_do() {
        let mut report = Report::default();
        report.ok("database", "answers");
        report.warning("clock", "2 s ahead", "see to the clock");
        assert!(!report.is_failed());
        assert_eq!(report.json()["status"], "warning");
        report.failed("ports", "taken", "free it");
        assert!(report.is_failed());
        let text = report.to_string();
        assert!(text.contains("failed   ports          taken\n"), "{text}");
        assert!(text.contains("-> free it\n"), "{text}");
        assert!(text.ends_with("1 ok, 1 to be seen to, 1 failed\n"), "{text}");
        assert_eq!(report.json()["checks"][1]["advice"], "see to the clock");
    }
}
