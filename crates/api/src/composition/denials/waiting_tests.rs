use std::net::IpAddr;

use postrider_application::audit::{Actor, ActorKind, AuditEntry};
use postrider_domain::TenantId;
use uuid::Uuid;

use super::{
    tests::denial,
    waiting::{MAX_EXACT, MAX_FOLDED, MAX_ROWS, Waiting},
};

fn of_tenant(tenant: u128, number: u128, target: &str) -> AuditEntry {
    AuditEntry {
        tenant: Some(TenantId::from_uuid(Uuid::from_u128(tenant))),
        ..denial(number, target)
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry's address is one that may be absent"
)]
fn from(address: &str) -> Option<IpAddr> {
    Some(address.parse().unwrap())
}

fn by(actor: &str, entry: AuditEntry) -> AuditEntry {
    let actor = Actor {
        id: actor.into(),
        ..entry.actor
    };
    AuditEntry { actor, ..entry }
}

fn times(entries: &[AuditEntry]) -> u64 {
    entries.iter().map(|entry| u64::from(entry.times)).sum()
}

#[test]
fn others_are_not_alike() {
    let plain = AuditEntry {
        address: from("192.0.2.1"),
        ..denial(0, "a")
    };
    let actor = Actor {
        kind: ActorKind::ApiKey,
        ..plain.actor.clone()
    };
    let others = [
        AuditEntry {
            tenant: None,
            ..plain.clone()
        },
        AuditEntry {
            actor,
            ..plain.clone()
        },
        AuditEntry {
            action: "endpoint.get".into(),
            ..plain.clone()
        },
        AuditEntry {
            target: None,
            ..plain.clone()
        },
        AuditEntry {
            address: from("192.0.2.2"),
            ..plain.clone()
        },
        AuditEntry {
            address: None,
            ..plain.clone()
        },
        plain,
    ];
    let mut waiting = Waiting::default();
    for _ in 0..3 {
        for entry in others.clone() {
            waiting.add(entry);
        }
    }
    let entries = waiting.take();
    assert_eq!(entries.len(), 7);
    assert!(entries.iter().all(|entry| entry.times == 3), "{entries:?}");
    assert!(waiting.take().is_empty());
}

#[test]
fn beyond_a_number_of_rows_a_tenants_are_told_apart_by_actor_and_action_only() {
    let mut waiting = Waiting::default();
    for number in 0..5_000 {
        let entry = AuditEntry {
            address: from("192.0.2.1"),
            ..denial(number, &number.to_string())
        };
        waiting.add(entry);
    }
    let one_more = |waiting: &mut Waiting, target: &str, address| {
        waiting.add(AuditEntry {
            address,
            ..denial(9_999, target)
        });
    };
    // What is there already goes on counting.
    one_more(&mut waiting, "0", from("192.0.2.1"));
    waiting.add(AuditEntry {
        action: "endpoint.get".into(),
        ..denial(10_000, "x")
    });
    assert_eq!(waiting.dropped, 0);
    let entries = waiting.take();
    assert_eq!((entries.len(), times(&entries)), (MAX_EXACT + 2, 5_002));
    assert_eq!((entries[0].target.as_deref(), entries[0].times), (Some("0"), 2));
    let [folded, other] = &entries[MAX_EXACT..] else {
        panic!("two")
    };
    assert_eq!((folded.target.as_deref(), folded.times), (None, 4_980));
    assert_eq!(folded.id, denial(20, "").id, "the first of them says when");
    assert_eq!(folded.address, from("192.0.2.1"), "all came from there");
    assert_eq!((&*other.action, other.times), ("endpoint.get", 1));

    // And from where, only if it was from one place.
    for number in 0..100 {
        one_more(&mut waiting, "same", from(&format!("192.0.2.{number}")));
    }
    let entries = waiting.take();
    assert_eq!((entries.len(), times(&entries)), (MAX_EXACT + 1, 100));
    let folded = entries.iter().find(|entry| entry.target.is_none()).unwrap();
    assert_eq!((folded.address, folded.times), (None, 80));
}

#[test]
fn a_tenants_rows_are_bounded_whoever_acts() {
    let mut waiting = Waiting::default();
    for number in 0..5_000 {
        waiting.add(by(&number.to_string(), denial(number, "a")));
    }
    let dropped = waiting.dropped;
    let entries = waiting.take();
    assert_eq!(entries.len(), MAX_EXACT + MAX_FOLDED);
    assert_eq!(dropped, 5_000 - times(&entries));
}

#[test]
fn one_noisy_tenant_costs_another_nothing() {
    let mut waiting = Waiting::default();
    for number in 0..100_000 {
        waiting.add(by(&number.to_string(), of_tenant(1, number, "a")));
    }
    let noisy = waiting.dropped;
    for number in 0..20 {
        waiting.add(of_tenant(2, 100_000 + number, &number.to_string()));
    }
    assert_eq!(waiting.dropped, noisy);
    let quiet = TenantId::from_uuid(Uuid::from_u128(2));
    let entries = waiting.take();
    let of_quiet = entries.iter().filter(|entry| entry.tenant == Some(quiet));
    assert_eq!(of_quiet.filter(|entry| entry.target.is_some()).count(), 20);
}

#[test]
fn many_noisy_tenants_leave_room_for_those_that_come_later_and_all_is_bounded() {
    let mut waiting = Waiting::default();
    let mut number = 0;
    for _ in 0..100 {
        for tenant in 0..200 {
            number += 1;
            waiting.add(by(&number.to_string(), of_tenant(tenant, number, "a")));
        }
    }
    let noisy = waiting.dropped;
    assert!(noisy > 0, "they have more than there is room for");
    for tenant in 1_000..1_015 {
        number += 1;
        waiting.add(of_tenant(tenant, number, "a"));
    }
    assert_eq!(waiting.dropped, noisy, "who has nothing yet finds room");
    for tenant in 2_000..10_000 {
        number += 1;
        waiting.add(of_tenant(tenant, number, "a"));
    }
    let dropped = waiting.dropped;
    let entries = waiting.take();
    assert!(entries.len() <= MAX_ROWS && entries.len() > MAX_ROWS - 4);
    assert_eq!(times(&entries) + dropped, u64::try_from(number).unwrap());
    for tenant in 0..200 {
        let tenant = Some(TenantId::from_uuid(Uuid::from_u128(tenant)));
        let rows = entries.iter().filter(|entry| entry.tenant == tenant).count();
        assert!((3..=6).contains(&rows), "{rows}");
    }
}
