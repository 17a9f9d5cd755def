use std::{fmt, time::Duration};

use super::CapturedHeaders;
use crate::Timestamp;

/// Where an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The address policy forbids the address that the name resolved to.
    Policy,
    /// The name did not resolve.
    Dns,
    /// No connection: refused, unreachable, reset.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The attempt did not end within its time-out.
    TimeOut,
    /// The receiver answered with something other than 2xx. Redirects are not followed.
    Status,
    /// The connection broke, or the answer was not HTTP.
    Body,
    /// The attempt could not be made: a stored value is beyond repair.
    Internal,
}

impl FailureClass {
    /// Every class there is.
    pub const ALL: [Self; 8] = [
        Self::Policy,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::TimeOut,
        Self::Status,
        Self::Body,
        Self::Internal,
    ];

    /// The stable public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::TimeOut => "timeout",
            Self::Status => "status",
            Self::Body => "body",
            Self::Internal => "internal",
        }
    }

    /// The class of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered 2xx.
    Delivered {
        /// The HTTP status.
        status: u16,
    },
    /// It did not.
    Failed {
        /// Where it failed.
        class: FailureClass,
        /// The HTTP status, if there was one.
        status: Option<u16>,
    },
}

impl Outcome {
    /// The outcome of an HTTP answer.
    pub const fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered { status },
            _ => Self::Failed {
                class: FailureClass::Status,
                status: Some(status),
            },
        }
    }

    /// The HTTP status, if there was one.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Delivered { status } => Some(*status),
            Self::Failed { status, .. } => *status,
        }
    }
}

/// What was kept of the receiver's answer: the beginning of its body, at most the configured cap, and its headers if
/// the installation keeps them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CapturedBody {
    /// The bytes that were kept.
    pub bytes: Vec<u8>,
    /// Whether more followed.
    pub truncated: bool,
    /// Its headers.
    pub headers: CapturedHeaders,
}

impl fmt::Debug for CapturedBody {
    /// Size only: what receivers answer is theirs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CapturedBody({} bytes, truncated: {})",
            self.bytes.len(),
            self.truncated
        )
    }
}

/// One HTTP try of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number within the delivery, from 1; resends go on counting.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub latency: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The beginning of the answer's body.
    pub response_body: CapturedBody,
}
