use std::{fmt, time::Duration};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use postrider_application::ports::WebhookSigner;
use postrider_domain::{Timestamp, deliveries::SignedContent, endpoints::SigningSecret};
use thiserror::Error;

/// The version of symmetric signatures in Standard Webhooks.
const VERSION: &str = "v1";
/// `v1,` and the 44 characters that 32 bytes are in base64.
const SIGNATURE_CHARS: usize = VERSION.len() + 1 + 44;

fn mac<const N: usize>(key: &hmac::Key, parts: [&[u8]; N]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// Signs webhooks with HMAC-SHA256, as Standard Webhooks has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct HmacSigner;

impl WebhookSigner for HmacSigner {
    fn sign(&self, secrets: &[SigningSecret], content: &SignedContent<'_>) -> Option<String> {
        if secrets.is_empty() {
            return None;
        }
        let mut value = String::with_capacity(secrets.len() * (SIGNATURE_CHARS + 1));
        for secret in secrets {
            if !value.is_empty() {
                value.push(' ');
            }
            let key = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
            value.push_str(VERSION);
            value.push(',');
            STANDARD.encode_string(mac(&key, content.parts()), &mut value);
        }
        Some(value)
    }
}

/// What a receiver was sent: three header values and the body's exact bytes.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedWebhook<'a> {
    /// The value of `webhook-id`.
    pub id: &'a str,
    /// The value of `webhook-timestamp`.
    pub timestamp: &'a str,
    /// The value of `webhook-signature`: one or more signatures, separated by spaces.
    pub signatures: &'a str,
    /// The body, as it came.
    pub body: &'a [u8],
}

/// Why a webhook must not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The timestamp is not a number of seconds.
    #[error("webhook-timestamp is not a number of seconds since 1970")]
    MalformedTimestamp,
    /// It was sent too long ago; perhaps it is replayed.
    #[error("the webhook is too old")]
    TooOld,
    /// It claims to be sent in the future.
    #[error("the webhook's timestamp is in the future")]
    TooNew,
    /// There is no signature of a version that is understood.
    #[error("webhook-signature holds no v1 signature")]
    NoSignature,
    /// None of the signatures fits.
    #[error("no signature fits")]
    WrongSignature,
}

/// The receiver's side: tells whether a webhook came from whoever holds the secret.
pub struct WebhookVerifier {
    key: hmac::Key,
}

impl WebhookVerifier {
    /// The tolerance that the Standard Webhooks libraries use.
    pub const DEFAULT_TOLERANCE: Duration = Duration::from_mins(5);

    /// Verifies with `secret`.
    pub fn new(secret: &SigningSecret) -> Self {
        Self {
            key: hmac::Key::new(HMAC_SHA256, secret.as_bytes()),
        }
    }

    /// Whether the webhook is genuine and was sent no longer than `tolerance` before or after `now` (whole
    /// seconds). Signatures are compared in constant time.
    pub fn verify(
        &self,
        received: &ReceivedWebhook<'_>,
        now: Timestamp,
        tolerance: Duration,
    ) -> Result<(), VerifyError> {
        let sent = parse_seconds(received.timestamp).ok_or(VerifyError::MalformedTimestamp)?;
        let tolerance = i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX);
        let age = now.as_unix_seconds().saturating_sub(sent);
        if age > tolerance {
            return Err(VerifyError::TooOld);
        }
        if age < tolerance.saturating_neg() {
            return Err(VerifyError::TooNew);
        }
        self.verify_signatures(received)
    }

    fn verify_signatures(&self, received: &ReceivedWebhook<'_>) -> Result<(), VerifyError> {
        let expected = mac(
            &self.key,
            [
                received.id.as_bytes(),
                b".",
                received.timestamp.as_bytes(),
                b".",
                received.body,
            ],
        );
        let mut verdict = VerifyError::NoSignature;
        for signature in received.signatures.split(' ') {
            let Some((VERSION, encoded)) = signature.split_once(',') else {
                continue;
            };
            let fits = STANDARD.decode(encoded).is_ok_and(|given| {
                aws_lc_rs::constant_time::verify_slices_are_equal(&given, expected.as_ref()).is_ok()
            });
            if fits {
                return Ok(());
            }
            verdict = VerifyError::WrongSignature;
        }
        Err(verdict)
    }
}

impl fmt::Debug for WebhookVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookVerifier(…)")
    }
}

/// Decimal digits only: no sign, no space, no other way to write the same number.
fn parse_seconds(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsRandomness;
    use http::HeaderMap;
    use postrider_application::ports::Randomness;
    use postrider_domain::{
        MessageId,
        deliveries::header,
        messages::{ContentType, Payload},
    };
    use std::time::SystemTime;
    use uuid::Uuid;

    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const SECONDS: i64 = 1_649_367_553;
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    /// The vector of the official libraries' own tests.
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn secret() -> SigningSecret {
        SigningSecret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn verify(id: &str, timestamp: &str, signatures: &str, body: &[u8], now: i64) -> Result<(), VerifyError> {
        let received = ReceivedWebhook {
            id,
            timestamp,
            signatures,
            body,
        };
        WebhookVerifier::new(&secret()).verify(&received, at(now), WebhookVerifier::DEFAULT_TOLERANCE)
    }

    #[test]
    fn agrees_with_the_official_vector() {
        assert_eq!(verify(ID, &SECONDS.to_string(), SIGNATURE, BODY, SECONDS), Ok(()));
        let theirs = standardwebhooks::Webhook::new(&secret().reveal()).unwrap();
        assert_eq!(theirs.sign(ID, SECONDS, BODY).unwrap(), SIGNATURE);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the official library reads the wall clock when it verifies"
    )]
    fn their_now() -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp::from_micros(i64::try_from(since_epoch.unwrap().as_micros()).unwrap())
    }

    /// Text of many kinds: their signing function takes UTF-8 only, ours any bytes.
    fn random_text(random: &dyn Randomness) -> String {
        let [length, kind] = random.bytes::<2>();
        let bytes: Vec<u8> = (0..usize::from(length) * 8)
            .flat_map(|_| random.bytes::<1>())
            .collect();
        match kind % 3 {
            0 => String::from_utf8_lossy(&bytes).into_owned(),
            1 => bytes.iter().map(|b| char::from(*b)).collect(),
            _ => format!("{{\"data\":\"{}\"}}", hex::encode(bytes)),
        }
    }

    #[test]
    fn the_official_library_makes_and_believes_the_same_signatures() {
        let random: &dyn Randomness = &OsRandomness::new();
        let now = their_now();
        for _ in 0..200 {
            let secret = SigningSecret::generate(random.bytes());
            let theirs = standardwebhooks::Webhook::new(&secret.reveal()).unwrap();
            let body = random_text(random);
            let payload = Payload::new(body.clone().into_bytes(), ContentType::json(), 1 << 20).unwrap();
            let id = MessageId::from_uuid(Uuid::from_bytes(random.bytes()));
            let content = SignedContent::new(id, now, &payload);
            let ours = HmacSigner.sign(std::slice::from_ref(&secret), &content).unwrap();

            assert_eq!(
                ours,
                theirs
                    .sign(&content.id, now.as_unix_seconds(), body.as_bytes())
                    .unwrap()
            );
            let mut headers = HeaderMap::new();
            headers.insert(header::ID, content.id.parse().unwrap());
            headers.insert(header::TIMESTAMP, content.timestamp.parse().unwrap());
            headers.insert(header::SIGNATURE, ours.parse().unwrap());
            theirs.verify(body.as_bytes(), &headers).unwrap();

            let received = ReceivedWebhook {
                id: &content.id,
                timestamp: &content.timestamp,
                signatures: &ours,
                body: body.as_bytes(),
            };
            let tolerance = WebhookVerifier::DEFAULT_TOLERANCE;
            assert_eq!(
                WebhookVerifier::new(&secret).verify(&received, now, tolerance),
                Ok(())
            );
        }
    }

    #[test]
    fn bodies_that_are_no_text_are_signed_as_the_bytes_that_they_are() {
        let payload = Payload::new(vec![0xff, 0, 0xfe, b'\n'], ContentType::json(), 100).unwrap();
        let content = SignedContent::new(MessageId::from_uuid(Uuid::from_u128(5)), at(SECONDS), &payload);
        let signature = HmacSigner.sign(&[secret()], &content).unwrap();
        let body = payload.bytes();
        assert_eq!(
            verify(&content.id, &content.timestamp, &signature, body, SECONDS),
            Ok(())
        );
        let other = verify(&content.id, &content.timestamp, &signature, &body[..3], SECONDS);
        assert_eq!(other, Err(VerifyError::WrongSignature));
    }

    #[test]
    fn whatever_is_altered_is_noticed() {
        let timestamp = SECONDS.to_string();
        let wrong = Err(VerifyError::WrongSignature);
        assert_eq!(
            verify(
                "msg_28UH4WbU6Z5A5EzD8u03UvzRbpk",
                &timestamp,
                SIGNATURE,
                BODY,
                SECONDS
            ),
            wrong
        );
        assert_eq!(
            verify(ID, &(SECONDS + 1).to_string(), SIGNATURE, BODY, SECONDS),
            wrong
        );
        for position in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[position] ^= 1;
            assert_eq!(verify(ID, &timestamp, SIGNATURE, &body, SECONDS), wrong);
        }
        for cut in "v1,".len()..SIGNATURE.len() {
            assert_eq!(
                verify(ID, &timestamp, &SIGNATURE[..cut], BODY, SECONDS),
                wrong,
                "{cut}"
            );
        }
        // The parts are joined by full stops: moving one must not give the same content.
        let (head, tail) = BODY.split_at(1);
        let moved = format!("{timestamp}.{}", std::str::from_utf8(head).unwrap());
        assert_eq!(
            verify(ID, &moved, SIGNATURE, tail, SECONDS),
            Err(VerifyError::MalformedTimestamp)
        );
    }

    #[test]
    fn several_secrets_sign_in_one_header_and_each_is_believed_by_its_holder() {
        let secrets = [1u8, 2, 3].map(|n| SigningSecret::generate([n; 32]));
        let now = their_now();
        let payload = Payload::new(BODY.to_vec(), ContentType::json(), 100).unwrap();
        let content = SignedContent::new(MessageId::from_uuid(Uuid::from_u128(5)), now, &payload);
        let all = HmacSigner.sign(&secrets, &content).unwrap();
        let each = secrets
            .each_ref()
            .map(|secret| HmacSigner.sign(std::slice::from_ref(secret), &content).unwrap());
        assert_eq!(all, each.join(" "));
        assert!(each.iter().all(|one| one.len() == SIGNATURE_CHARS));
        for secret in &secrets {
            let received = ReceivedWebhook {
                id: &content.id,
                timestamp: &content.timestamp,
                signatures: &all,
                body: BODY,
            };
            let tolerance = WebhookVerifier::DEFAULT_TOLERANCE;
            let ours = WebhookVerifier::new(secret).verify(&received, now, tolerance);
            assert_eq!(ours, Ok(()));
            let theirs = standardwebhooks::Webhook::new(&secret.reveal()).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::ID, content.id.parse().unwrap());
            headers.insert(header::TIMESTAMP, content.timestamp.parse().unwrap());
            headers.insert(header::SIGNATURE, all.parse().unwrap());
            theirs.verify(BODY, &headers).unwrap();
        }
    }

    #[test]
    fn without_a_secret_there_is_no_signature() {
        let payload = Payload::new(BODY.to_vec(), ContentType::json(), 100).unwrap();
        let content = SignedContent::new(MessageId::from_uuid(Uuid::from_u128(5)), at(SECONDS), &payload);
        assert_eq!(HmacSigner.sign(&[], &content), None);
    }

    #[test]
    fn one_good_signature_among_several_is_enough() {
        let timestamp = SECONDS.to_string();
        let bad = "v1,tFtCZ5RDCPxzWQRWXWPgrCgE2frDBe9gjpbWQxnVfsQ=";
        for list in [
            format!("{bad} {SIGNATURE}"),
            format!("{SIGNATURE} {bad}"),
            format!("v1a,xxxx v2,y {bad} {SIGNATURE} z"),
        ] {
            assert_eq!(verify(ID, &timestamp, &list, BODY, SECONDS), Ok(()), "{list}");
        }
        for (list, why) in [
            (format!("{bad} {bad}"), VerifyError::WrongSignature),
            (SIGNATURE.replace("v1", "v1a"), VerifyError::NoSignature),
            (SIGNATURE.replace("v1,", ""), VerifyError::NoSignature),
            (String::new(), VerifyError::NoSignature),
            ("v1,".to_owned(), VerifyError::WrongSignature),
            ("v1,!!!".to_owned(), VerifyError::WrongSignature),
        ] {
            assert_eq!(verify(ID, &timestamp, &list, BODY, SECONDS), Err(why), "{list}");
        }
    }

    #[test]
    fn old_and_future_webhooks_are_refused() {
        let check = |now| verify(ID, &SECONDS.to_string(), SIGNATURE, BODY, now);
        assert_eq!(check(SECONDS + 300), Ok(()));
        assert_eq!(check(SECONDS + 301), Err(VerifyError::TooOld));
        assert_eq!(check(SECONDS - 300), Ok(()));
        assert_eq!(check(SECONDS - 301), Err(VerifyError::TooNew));
        for bad in [
            "",
            " ",
            "abc",
            "-1",
            "+1649367553",
            "1649367553 ",
            "1649367553.0",
            "9".repeat(30).as_str(),
            "١",
        ] {
            assert_eq!(
                verify(ID, bad, SIGNATURE, BODY, SECONDS),
                Err(VerifyError::MalformedTimestamp),
                "{bad}"
            );
        }
        assert_eq!(
            verify(ID, &i64::MAX.to_string(), SIGNATURE, BODY, SECONDS),
            Err(VerifyError::TooNew)
        );
    }
}
