use postrider_application::ErrorCode;

/// The pages are part of the binary. The match is exhaustive and the files must exist: a code without a page does
/// not compile.
macro_rules! pages {
    ($($code:ident = $file:literal;)+) => {
        /// The page of a code, in Markdown.
        pub(crate) const fn page(code: ErrorCode) -> &'static str {
            match code {
                $(ErrorCode::$code => include_str!(concat!("../../../../docs/problems/", $file, ".md")),)+
            }
        }

        /// The code and the name of its file, for the test that they agree.
        #[cfg(test)]
        const FILES: &[(ErrorCode, &str)] = &[$((ErrorCode::$code, $file),)+];
    };
}

pages! {
    MalformedRequest = "malformed_request";
    ValidationFailed = "validation_failed";
    Unauthenticated = "unauthenticated";
    InvalidCredentials = "invalid_credentials";
    InvalidToken = "invalid_token";
    TooManyAttempts = "too_many_attempts";
    TenantRequired = "tenant_required";
    Forbidden = "forbidden";
    TenantSuspended = "tenant_suspended";
    NotFound = "not_found";
    MethodNotAllowed = "method_not_allowed";
    UidTaken = "uid_taken";
    EndpointLimitReached = "endpoint_limit_reached";
    SecretLimitReached = "secret_limit_reached";
    EventTypeExists = "event_type_exists";
    EventTypeLimitReached = "event_type_limit_reached";
    OwnerExists = "owner_exists";
    MemberExists = "member_exists";
    InvitationPending = "invitation_pending";
    LastOwner = "last_owner";
    TenantDeleting = "tenant_deleting";
    KeysInUse = "keys_in_use";
    IdempotencyConflict = "idempotency_conflict";
    DeliveryPending = "delivery_pending";
    MessageNotCancellable = "message_not_cancellable";
    PayloadExpunged = "payload_expunged";
    EndpointDisabled = "endpoint_disabled";
    ReplayLimitReached = "replay_limit_reached";
    StaleVersion = "stale_version";
    PreconditionFailed = "precondition_failed";
    PayloadTooLarge = "payload_too_large";
    UnsupportedMediaType = "unsupported_media_type";
    Unavailable = "unavailable";
    IntakeFull = "intake_full";
    RateLimited = "rate_limited";
    IntakeShareExceeded = "intake_share_exceeded";
    OutcomeUnknown = "outcome_unknown";
    Internal = "internal";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::status_of;
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn every_code_has_its_page_and_no_page_is_left_over() {
        let codes: BTreeSet<_> = ErrorCode::ALL
            .iter()
            .map(|code| code.as_str().to_owned())
            .collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/problems");
        let pages: BTreeSet<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "md"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| name != "README")
            .collect();
        assert_eq!(codes, pages);
        for (code, file) in FILES {
            assert_eq!(code.as_str(), *file);
        }
    }

    #[test]
    fn a_page_has_the_code_its_title_and_its_status() {
        for code in ErrorCode::ALL {
            let text = page(*code);
            let status = status_of(code.kind()).as_u16();
            assert!(
                text.starts_with(&format!("# {}\n", code.title())),
                "{}",
                code.as_str()
            );
            assert!(
                text.contains(&format!("`{}`", code.as_str())),
                "{}",
                code.as_str()
            );
            assert!(text.contains(&format!("Status {status}")), "{}", code.as_str());
            for heading in [
                "## What it means",
                "## Why it happens",
                "## What to do",
                "## Example",
            ] {
                assert!(text.contains(heading), "{}: {heading}", code.as_str());
            }
        }
    }
}
