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
        let ours = StandardSigner.sign(&[secret.clone().into()], &content).unwrap();

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
    let signature = StandardSigner.sign(&[secret().into()], &content).unwrap();
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
    let all = StandardSigner
        .sign(&secrets.clone().map(HeldSecret::from), &content)
        .unwrap();
    let each = secrets
        .each_ref()
        .map(|secret| StandardSigner.sign(&[secret.clone().into()], &content).unwrap());
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
    assert_eq!(StandardSigner.sign(&[], &content), None);
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

#[test]
fn what_has_ended_does_not_sign() {
    let payload = Payload::new(BODY.to_vec(), ContentType::json(), 100).unwrap();
    let id = MessageId::from_uuid(Uuid::from_u128(5));
    let held = |n: u8, until| HeldSecret {
        until,
        ..SigningSecret::generate([n; 32]).into()
    };
    let secrets = [held(1, None), held(2, Some(at(10)))];
    let alone = |n: usize, seconds| {
        let content = SignedContent::new(id, at(seconds), &payload);
        StandardSigner
            .sign(&[held(u8::try_from(n).unwrap(), None)], &content)
            .unwrap()
    };
    for (seconds, expected) in [
        (9, format!("{} {}", alone(1, 9), alone(2, 9))),
        (10, alone(1, 10)),
        (11, alone(1, 11)),
    ] {
        let content = SignedContent::new(id, at(seconds), &payload);
        assert_eq!(
            StandardSigner.sign(&secrets, &content),
            Some(expected),
            "{seconds}"
        );
    }
    let content = SignedContent::new(id, at(10), &payload);
    assert_eq!(StandardSigner.sign(&secrets[1..], &content), None);
}

/// The first vector of RFC 8032, section 7.1.
#[test]
fn key_pairs_are_those_of_the_standard() {
    let bytes = |text| <[u8; 32]>::try_from(hex::decode(text).unwrap()).unwrap();
    let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(StandardSigner.ed25519_public_key(&seed).unwrap(), public);
}

#[test]
fn an_independent_library_believes_asymmetric_signatures() {
    let random: &dyn Randomness = &OsRandomness::new();
    for _ in 0..50 {
        let seed = random.bytes();
        let public = StandardSigner.ed25519_public_key(&seed).unwrap();
        let key = Ed25519Key::of_pair(seed, public);
        let body = random_text(random);
        let payload = Payload::new(body.clone().into_bytes(), ContentType::json(), 1 << 20).unwrap();
        let content = SignedContent::new(MessageId::from_uuid(Uuid::from_u128(5)), at(SECONDS), &payload);
        let symmetric = secret();
        let value = StandardSigner
            .sign(
                &[EndpointSecret::from(key.clone()).into(), symmetric.clone().into()],
                &content,
            )
            .unwrap();
        let (ours, theirs) = value.split_once(' ').unwrap();
        assert_eq!(
            Some(theirs.to_owned()),
            StandardSigner.sign(&[symmetric.into()], &content)
        );

        let encoded = key.public_text();
        let public = STANDARD.decode(encoded.strip_prefix("whpk_").unwrap()).unwrap();
        let verifier = ed25519_dalek::VerifyingKey::from_bytes(&public.try_into().unwrap()).unwrap();
        let signature = STANDARD.decode(ours.strip_prefix("v1a,").unwrap()).unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
        let signed = format!("{}.{SECONDS}.{body}", content.id);
        verifier.verify_strict(signed.as_bytes(), &signature).unwrap();
        let altered = format!("{signed} ");
        assert!(verifier.verify_strict(altered.as_bytes(), &signature).is_err());
    }
}

#[test]
fn a_public_half_of_another_pair_signs_nothing() {
    let key = Ed25519Key::of_pair([1; 32], StandardSigner.ed25519_public_key(&[2; 32]).unwrap());
    let payload = Payload::new(BODY.to_vec(), ContentType::json(), 100).unwrap();
    let content = SignedContent::new(MessageId::from_uuid(Uuid::from_u128(5)), at(SECONDS), &payload);
    assert_eq!(
        StandardSigner.sign(&[EndpointSecret::from(key).into()], &content),
        None
    );
}
