//! Forms of texts, as patterns without look-around, which not everybody's expressions know.

use postrider_application::ports::DeadLetterId;
use postrider_domain::{
    endpoints::HeaderName,
    tokens::{InvitationToken, PasswordResetToken, RefreshToken, TokenSecret},
};

/// No control characters; something besides white space.
pub(super) const TEXT: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
/// No control characters; may be empty.
pub(super) const OPTIONAL_TEXT: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// The name of an event type.
pub(super) const EVENT_TYPE: &str = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$";
/// A channel.
pub(super) const CHANNEL: &str = r"^[A-Za-z0-9._:/-]+$";
/// An id or a uid; which of those are neither, [`super::rules`] says besides.
pub(super) const UID_OR_ID: &str = r"^[A-Za-z0-9._:-]+$";
/// What no uid is: a relative segment of a path, or something that looks like an id.
pub(super) const NO_UID: &str = r"^(\.{1,2}$|(app|ep|msg|ten)_)";
/// The value of a header of a request, as much of it as a parser leaves: visible, with spaces inside.
pub(super) const KEY: &str = r"^[\u0021-\u007e]([\u0020-\u007e]*[\u0021-\u007e])?$";
/// The value of a header that is sent: visible, with spaces and tabs inside.
pub(super) const HEADER_VALUE: &str = r"^[\u0021-\u007e]([\t\u0020-\u007e]*[\u0021-\u007e])?$";
/// The name of a header, reserved ones included.
pub(super) const HEADER_NAME: &str = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
/// A media type.
pub(super) const MEDIA_TYPE: &str =
    r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+( *|[\u0020]*;[\u0020-\u007e]*)$";
/// A page of the list that is asked for; whether it is one is told by its tag.
pub(super) const CURSOR: &str = "^[A-Za-z0-9_-]+$";
/// An `http` or `https` URL without white space.
pub(super) const URL: &str = r"^[hH][tT][tT][pP][sS]?://[^\s\u0000-\u001f\u007f-\u009f]+$";
/// An address, in ASCII.
pub(super) const EMAIL: &str = r"^[!-?A-~]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$";

/// Four characters of base64: three bytes.
const THREE: &str = "[A-Za-z0-9+/]{4}";
/// The end of base64 that is one byte.
const ONE: &str = "[A-Za-z0-9+/][AQgw]==";
/// The end of base64 that is two bytes.
const TWO: &str = "[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=";

/// Base64 with padding, of any length.
pub(super) fn base64() -> String {
    format!("^({THREE})*({ONE}|{TWO})?$")
}

/// A secret of 24 to 64 bytes, or an Ed25519 seed, with its public key or without.
pub(super) fn secret() -> String {
    let hmac = format!("whsec_(({THREE}){{8,21}}({ONE})?|({THREE}){{8,20}}{TWO})");
    let seed = format!("whsk_(({THREE}){{10}}{TWO}|({THREE}){{21}}{ONE})");
    format!("^({hmac}|{seed})$")
}

/// What follows the prefix of an id.
const BASE32: &str = "[0-7][0-9a-hjkmnp-tv-z]{25}";

/// An id with that prefix.
pub(super) fn id(prefix: &str) -> String {
    format!("^{prefix}_{BASE32}$")
}

/// An id with that prefix, where a uid may stand as well: as much of it as begins like one.
pub(super) fn no_id(prefix: &str) -> String {
    let others = ["app", "ep", "msg", "ten"]
        .into_iter()
        .filter(|other| *other != prefix);
    format!(r"^(\.{{1,2}}$|({})_)", others.collect::<Vec<_>>().join("|"))
}

fn token(prefix: &str, secrets: usize) -> String {
    let chars = TokenSecret::CHARS * secrets;
    format!("^{prefix}{BASE32}_[0-9A-Za-z]{{{chars}}}$")
}

/// What an invitation is accepted with.
pub(super) fn invitation_token() -> String {
    token(InvitationToken::PREFIX, 1)
}

/// What a password is set anew with.
pub(super) fn password_reset_token() -> String {
    token(PasswordResetToken::PREFIX, 1)
}

/// What a session is refreshed with.
pub(super) fn refresh_token() -> String {
    token(RefreshToken::PREFIX, 2)
}

/// The id of a dead letter: a subscriber, and a position.
pub(super) fn dead_letter() -> String {
    format!(
        r"^[a-z0-9-]{{1,{}}}\.(0|[1-9][0-9]{{0,17}})$",
        DeadLetterId::MAX_NAME
    )
}

/// Names of headers that are reserved, in any case.
pub(super) fn reserved_header() -> String {
    let any_case = |name: &str| -> String {
        name.chars()
            .map(|c| match c.to_ascii_uppercase() {
                upper if upper == c => c.to_string(),
                upper => format!("[{c}{upper}]"),
            })
            .collect()
    };
    let names: Vec<_> = HeaderName::RESERVED.into_iter().map(any_case).collect();
    let prefixes: Vec<_> = HeaderName::RESERVED_PREFIXES.into_iter().map(any_case).collect();
    format!("^(({})$|{})", names.join("|"), prefixes.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonschema::is_valid;
    use postrider_domain::{
        ApiKeyId, InvalidValue, InvitationId, SessionId, Uid,
        endpoints::{GivenSecret, HeaderValue},
        event_types::EventTypeName,
        messages::{Channel, ContentType},
        users::Email,
    };
    use serde_json::json;

    fn matches(pattern: &str, text: &str) -> bool {
        is_valid(&json!({"pattern": pattern}), &json!(text))
    }

    /// What the pattern says of each text is what the parser says of it.
    fn agree<T>(pattern: &str, parse: impl Fn(&str) -> Result<T, InvalidValue>, texts: &[&str]) {
        let mut answers = Vec::new();
        for text in texts {
            assert_eq!(matches(pattern, text), parse(text).is_ok(), "{text:?}: {pattern}");
            answers.push(parse(text).is_ok());
        }
        assert!(
            answers.contains(&true) && answers.contains(&false),
            "{pattern}: both are tried"
        );
    }

    #[test]
    fn patterns_are_what_the_parsers_say() {
        agree(
            EVENT_TYPE,
            EventTypeName::parse,
            &["a", "a.b-c_d", "", ".", "a..b", "a.", "a b", "é"],
        );
        agree(CHANNEL, Channel::parse, &["a/b:c.d_e-f", "", "a b", "é"]);
        agree(
            MEDIA_TYPE,
            ContentType::parse,
            &[
                "a/b",
                "a/b;c=d",
                "a/b ; c",
                "a/b ",
                "a/b;",
                "",
                "a",
                "a/",
                "/b",
                "a/b c",
                "a /b",
                "a/b\t",
                "a/b;\u{e9}",
            ],
        );
        agree(
            EMAIL,
            Email::parse,
            &[
                "a@b.c", "a@b-c.d1", "!#$%@b.c", "a@b", "a@-b.c", "a@b-.c", "a@b..c", "@b.c", "a@b@c.d",
                "é@b.c", "a@b_c.d",
            ],
        );
        agree(
            HEADER_VALUE,
            |text| HeaderValue::parse(text, false),
            &["a", "a \t b", "~", "", " a", "a ", "\t", "é", "a\nb"],
        );
        agree(
            HEADER_NAME,
            HeaderName::parse,
            &["x-a", "X_1", "!#$%&'*+-.^_`|~", "", "a b", "a:", "é"],
        );
    }

    #[test]
    fn what_looks_like_an_id_is_no_uid() {
        for text in [
            "a",
            "...",
            "application",
            ".a",
            "app",
            ".",
            "..",
            "app_",
            "ep_1",
            "msg_x",
            "ten_",
        ] {
            assert_eq!(!matches(NO_UID, text), Uid::parse(text).is_ok(), "{text}");
        }
        assert!(matches(&no_id("app"), "ep_1") && !matches(&no_id("app"), "app_1"));
    }

    #[test]
    fn reserved_headers_are_those_that_are_refused() {
        for name in [
            "host",
            "HOST",
            "Content-Type",
            "x-forwarded-for",
            "WEBHOOK-id",
            "hosts",
            "x-host",
            "te",
            "tea",
        ] {
            assert_eq!(
                matches(&reserved_header(), name),
                HeaderName::parse(name).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn secrets_are_of_the_right_lengths() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        for bytes in 0..=70_usize {
            let encoded = STANDARD.encode(vec![0xa5; bytes]);
            assert!(matches(&base64(), &encoded));
            for prefix in ["whsec_", "whsk_"] {
                let text = format!("{prefix}{encoded}");
                assert_eq!(
                    matches(&secret(), &text),
                    GivenSecret::parse(&text).is_ok(),
                    "{prefix} of {bytes} bytes"
                );
            }
        }
        for bad in ["a", "ab", "abc", "ab=", "ab==c", "a===", "AB==", "ABC=", "é"] {
            assert_eq!(matches(&base64(), bad), STANDARD.decode(bad).is_ok(), "{bad}");
        }
    }

    #[test]
    fn tokens_are_of_their_kind() {
        let uuid = ApiKeyId::from_uuid(uuid::Uuid::from_u128(u128::MAX)).as_uuid();
        let invitation = InvitationToken::new(InvitationId::from_uuid(uuid), [0xff; 32]).reveal();
        let refresh = RefreshToken::first(SessionId::from_uuid(uuid), [0xff; 32], [0; 32]).reveal();
        assert!(matches(&invitation_token(), &invitation) && matches(&refresh_token(), &refresh));
        assert!(!matches(&password_reset_token(), &invitation));
        for cut in [1, 10, 60] {
            let short = &invitation[..invitation.len() - cut];
            assert!(!matches(&invitation_token(), short) && InvitationToken::parse(short).is_err());
        }
    }

    #[test]
    fn a_dead_letter_has_a_subscriber_and_a_position() {
        for text in [
            "a-1.0",
            "operational-webhooks.1234",
            "a.01",
            "a",
            ".1",
            "a.",
            "A.1",
            "a.-1",
            "a.b.1",
        ] {
            assert_eq!(
                matches(&dead_letter(), text),
                text.parse::<DeadLetterId>().is_ok(),
                "{text}"
            );
        }
    }
}
