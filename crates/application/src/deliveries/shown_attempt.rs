use postrider_domain::{
    deliveries::{FailureClass, Outcome, header},
    endpoints::ShownHeaders,
};

use crate::ports::{AttemptView, MessageView};

/// Stands for a value that is not told.
const MASK: &str = "***";

/// An attempt, with what is known of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownAttempt {
    /// The attempt.
    pub attempt: AttemptView,
    /// Headers that the request had, if one was sent. They are not kept but follow from the message, the attempt, and
    /// the endpoint as it is today; of signatures and of the endpoint's own headers only the names are told.
    pub request_headers: Vec<(String, String)>,
}

/// Whether a request was sent, as a whole or as far as time allowed.
const fn was_sent(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Delivered { .. } => true,
        Outcome::Failed { class, .. } => match class {
            FailureClass::Policy
            | FailureClass::Dns
            | FailureClass::Connect
            | FailureClass::Tls
            | FailureClass::Internal => false,
            FailureClass::TimeOut | FailureClass::Status | FailureClass::Body => true,
        },
    }
}

impl ShownAttempt {
    /// The endpoint's own headers, if it is still there.
    pub(super) fn of(attempt: AttemptView, message: &MessageView, own: Option<&ShownHeaders>) -> Self {
        let mut request_headers = Vec::new();
        if was_sent(attempt.outcome) {
            let timestamp = attempt.started_at.as_unix_seconds().to_string();
            for (name, value) in [
                ("content-type", message.content_type.clone()),
                (header::ID, message.id.to_string()),
                (header::TIMESTAMP, timestamp),
                // How many there were, and of which kind, depends on the secrets of then.
                (header::SIGNATURE, MASK.to_owned()),
            ] {
                request_headers.push((name.to_owned(), value));
            }
            let own = own.into_iter().flat_map(ShownHeaders::keys);
            request_headers.extend(own.map(|name| (name.as_str().to_owned(), MASK.to_owned())));
        }
        Self {
            attempt,
            request_headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_left_had_no_headers() {
        let sent = FailureClass::ALL.into_iter().filter(|class| {
            was_sent(Outcome::Failed {
                class: *class,
                status: None,
            })
        });
        assert_eq!(
            sent.collect::<Vec<_>>(),
            [FailureClass::TimeOut, FailureClass::Status, FailureClass::Body]
        );
        assert!(was_sent(Outcome::Delivered { status: 204 }));
    }
}
