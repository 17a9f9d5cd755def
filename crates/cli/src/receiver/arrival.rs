use std::time::Duration;

use owo_colors::OwoColorize as _;
use serde_json::json;

/// Whether a webhook is what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A signature fits.
    Verified,
    /// None does, and why.
    Rejected(String),
    /// There is no secret to verify with.
    Unchecked,
}

/// A webhook that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// `webhook-id`.
    pub(crate) id: String,
    /// Which try of this message it is, counted here, from 1.
    pub(crate) attempt: u32,
    /// The body's length in bytes.
    pub(crate) bytes: usize,
    /// The body, for whoever wants to see it.
    pub(crate) body: bytes::Bytes,
    /// `content-type`.
    pub(crate) content_type: String,
    /// Whether the signature fits.
    pub(crate) verdict: Verdict,
    /// What was answered.
    pub(crate) status: u16,
    /// When it was complete, by this process's monotonic clock.
    pub(crate) at: Duration,
}

impl Arrival {
    /// One line for people.
    pub(crate) fn to_line(&self, color: bool) -> String {
        let (mark, verdict) = match &self.verdict {
            Verdict::Verified => ("✓", "signature verified".to_owned()),
            Verdict::Unchecked => ("·", "not verified (no --secret)".to_owned()),
            Verdict::Rejected(why) => ("✗", format!("REJECTED: {why}")),
        };
        let mark = match (&self.verdict, color) {
            (Verdict::Verified, true) => mark.green().to_string(),
            (Verdict::Rejected(_), true) => mark.red().to_string(),
            _ => mark.to_owned(),
        };
        format!(
            "{mark} {}  try {}  {} B  {verdict}, answered {}",
            self.id, self.attempt, self.bytes, self.status
        )
    }

    /// One JSON object, for programs.
    pub(crate) fn to_json(&self) -> String {
        let (verified, reason) = match &self.verdict {
            Verdict::Verified => (Some(true), None),
            Verdict::Unchecked => (None, None),
            Verdict::Rejected(why) => (Some(false), Some(why.as_str())),
        };
        json!({
            "id": self.id,
            "attempt": self.attempt,
            "bytes": self.bytes,
            "content_type": self.content_type,
            "verified": verified,
            "reason": reason,
            "status": self.status,
            "body": String::from_utf8_lossy(&self.body),
        })
        .to_string()
    }
}
