use super::*;
use crate::{
    Aggregate, Version,
    endpoints::{HeaderName, HeaderValue, SigningSecret},
};
use std::collections::BTreeMap;
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_micros(1_000);

fn endpoint() -> Endpoint {
    let new = NewEndpoint {
        uid: None,
        url: EndpointUrl::parse("https://example.com/").unwrap(),
        description: Description::default(),
        filter: Filter::default(),
        secret: SigningSecret::generate([1; 32]).into(),
        headers: CustomHeaders::default(),
        retry_schedule: None,
        timeout: None,
        metadata: Metadata::default(),
    };
    Endpoint::create(
        EndpointId::from_uuid(Uuid::from_u128(1)),
        TenantId::from_uuid(Uuid::from_u128(2)),
        ApplicationId::from_uuid(Uuid::from_u128(3)),
        new,
        AT,
    )
}

#[test]
fn a_new_endpoint_is_enabled_and_says_so() {
    let mut endpoint = endpoint();
    assert_eq!(endpoint.state().status, EndpointStatus::Enabled);
    assert!(endpoint.version().is_new());
    assert!(matches!(
        endpoint.take_events()[..],
        [EndpointEvent::Created { .. }]
    ));
    assert!(endpoint.take_events().is_empty(), "events are handed out once");
}

#[test]
fn disabling_twice_is_one_change() {
    let mut endpoint = endpoint();
    let _ = endpoint.take_events();
    assert_eq!(endpoint.disable(DisableReason::Manual, AT), Change::Made);
    assert_eq!(
        endpoint.disable(DisableReason::Manual, AT.plus(Duration::from_secs(1))),
        Change::None
    );
    assert_eq!(
        endpoint.state().status,
        EndpointStatus::Disabled {
            why: DisableReason::Manual,
            at: AT
        }
    );
    assert_eq!(endpoint.enable(), Change::Made);
    assert_eq!(endpoint.enable(), Change::None);
    assert_eq!(endpoint.take_events().len(), 2);
}

#[test]
fn reasons_keep_their_names_and_the_first_one_stays() {
    let names = DisableReason::ALL.map(DisableReason::as_str);
    assert_eq!(names, ["manual", "gone", "failing"]);
    for reason in DisableReason::ALL {
        assert_eq!(DisableReason::parse(reason.as_str()), Some(reason));
    }
    assert_eq!(DisableReason::parse("Gone"), None);
    let mut endpoint = endpoint();
    assert_eq!(endpoint.disable(DisableReason::Gone, AT), Change::Made);
    assert_eq!(endpoint.disable(DisableReason::Failing, AT), Change::None);
    let why = DisableReason::Gone;
    assert_eq!(endpoint.state().status, EndpointStatus::Disabled { why, at: AT });
}

#[test]
fn a_change_names_what_differs_and_nothing_else() {
    let mut endpoint = endpoint();
    let _ = endpoint.take_events();
    let mut to = EndpointAttributes::of(endpoint.state());
    assert_eq!(endpoint.change(to.clone()), Ok(Change::None));
    to.uid = Some(Uid::parse("hook").unwrap());
    to.timeout = Some(AttemptTimeout::default());
    assert_eq!(endpoint.change(to.clone()), Ok(Change::Made));
    assert_eq!(EndpointAttributes::of(endpoint.state()), to);
    let changed = vec![EndpointField::Uid, EndpointField::TimeoutMs];
    assert_eq!(endpoint.take_events(), [EndpointEvent::Updated { changed }]);
}

#[test]
fn a_rotation_says_of_which_kind_and_until_when() {
    let mut endpoint = endpoint();
    let _ = endpoint.take_events();
    let overlap = Overlap::from_seconds(10).unwrap();
    let secret = |n| EndpointSecret::from(SigningSecret::generate([n; 32]));
    assert_eq!(
        endpoint.rotate_secret(secret(1), overlap, AT),
        Err(RotationRefused::InUse)
    );
    assert!(endpoint.take_events().is_empty());
    endpoint.rotate_secret(secret(2), overlap, AT).unwrap();
    assert_eq!(endpoint.state().secrets.current(), &secret(2));
    let (kind, old_until) = (SecretType::Hmac, Some(AT.plus(Duration::from_secs(10))));
    assert_eq!(
        endpoint.take_events(),
        [EndpointEvent::SecretRotated { kind, old_until }]
    );
}

#[test]
fn restoring_records_nothing() {
    let mut restored = Endpoint::restore(endpoint().state().clone(), Version(4));
    assert_eq!(restored.version(), Version(4));
    assert!(restored.take_events().is_empty());
}

#[test]
fn time_outs_have_bounds() {
    assert!(AttemptTimeout::from_millis(999).is_err() && AttemptTimeout::from_millis(60_001).is_err());
    assert_eq!(AttemptTimeout::from_millis(60_000).unwrap().as_millis(), 60_000);
}

#[test]
fn secret_headers_are_given_anew_when_the_origin_is_another() {
    let value = |text, secret| HeaderValue::parse(text, secret).unwrap();
    let name = |text| HeaderName::parse(text).unwrap();
    let headers = |secret| {
        let all = [
            (name("authorization"), value(secret, true)),
            (name("x-shown"), value("1", false)),
        ];
        CustomHeaders::new(BTreeMap::from(all)).unwrap()
    };
    let mut endpoint = endpoint();
    let mut to = EndpointAttributes::of(endpoint.state());
    to.headers = headers("a");
    let _ = endpoint.change(to).unwrap();
    // What was given in one change is kept in the next.
    let moved = |endpoint: &Endpoint, url| EndpointAttributes {
        url: EndpointUrl::parse(url).unwrap(),
        ..EndpointAttributes::of(endpoint.state())
    };
    let to = moved(&endpoint, "https://other.example/");
    let before = endpoint.state().clone();
    let InvalidHeaders(why) = endpoint.change(to.clone()).unwrap_err();
    let [(Some(of), invalid)] = &why[..] else {
        panic!("what is shown may be sent anywhere: {why:?}")
    };
    assert_eq!((of.as_str(), invalid.rule), ("authorization", Rule::Required));
    assert_eq!(endpoint.state(), &before);
    for same in ["https://example.com/path?q", "https://EXAMPLE.com:443/"] {
        let _ = endpoint.change(moved(&endpoint, same)).unwrap();
    }
    let given = EndpointAttributes {
        headers: headers("a"),
        ..to
    };
    assert_eq!(
        endpoint.change(given),
        Ok(Change::Made),
        "the same value, but given"
    );
}
