//! Looking at the audit log: newest first, in pages, by filters.

use std::{borrow::Cow, time::Duration};

use postrider_application::{
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome},
    ports::{AuditFilter, AuditViews as _},
};
use postrider_domain::{AuditEntryId, Timestamp};
use uuid::Uuid;

use super::{
    Fixture, Harness, Tenancy,
    audit::{commit, entry, log},
    paging::{first, pieces},
};

/// Entries are listed in pages, the newest first, and those of other tenants are not among them.
pub async fn entries_are_listed_newest_first<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let (tenant, other) = (fixture.tenant("acme").await, fixture.tenant("other").await);
    let mut expected = Vec::new();
    for _ in 0..5 {
        let ours = entry(&fixture, tenant.id);
        commit(&fixture, &tenant, &ours).await;
        commit(&fixture, &other, &entry(&fixture, other.id)).await;
        expected.insert(0, ours);
    }
    let (store, filter) = (fixture.store(), AuditFilter::default());
    let listed = pieces(2, async |page| {
        store.audit_entries(&tenant.scope, &filter, page).await.unwrap()
    })
    .await;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(listed.concat(), expected);
    assert_eq!(log(&fixture, &other).await.len(), 5);
}

/// An entry of that time, with an id of its millisecond.
pub(super) fn entry_at<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy, at: Timestamp) -> AuditEntry {
    let (any, millis) = (
        fixture.uuid().as_u128(),
        u128::try_from(at.as_unix_millis()).unwrap(),
    );
    let rest = any & ((1 << 80) - 1);
    AuditEntry {
        id: AuditEntryId::from_uuid(Uuid::from_u128((millis << 80) | rest)),
        at,
        ..entry(fixture, tenant.id)
    }
}

/// Four entries, a minute apart, of two people, actions and outcomes.
async fn four<H: Harness>(
    fixture: &Fixture<'_, H>,
    tenant: &Tenancy,
    at: impl Fn(i64) -> Timestamp,
) -> Vec<AuditEntry> {
    let mut entries = Vec::new();
    for (nth, (actor, action, target, outcome)) in (0..).zip([
        ("ada", "application.create", Some("one"), AuditOutcome::Done),
        ("bob", "application.create", Some("two"), AuditOutcome::Done),
        ("ada", "endpoint.create", Some("one"), AuditOutcome::Denied),
        ("bob", "endpoint.create", None, AuditOutcome::Denied),
    ]) {
        let told = AuditEntry {
            actor: Actor {
                kind: ActorKind::User,
                id: actor.into(),
            },
            action: Cow::Borrowed(action),
            target: target.map(str::to_owned),
            outcome,
            ..entry_at(fixture, tenant, at(nth))
        };
        commit(fixture, tenant, &told).await;
        entries.push(told);
    }
    entries
}

/// Narrows a filter.
type Narrow<'n> = &'n dyn Fn(&mut AuditFilter);

/// Each filter alone, several together, and in pages.
pub async fn entries_are_filtered<H: Harness>(harness: &H) {
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    let start = fixture.now().as_micros();
    let at = |nth: i64| Timestamp::from_micros(start + nth * 60_000_000);
    let entries = four(&fixture, &tenant, at).await;
    let text = |text: &str| Some(text.to_owned());
    let actor = |name: &'static str| move |filter: &mut AuditFilter| filter.actor = text(name);
    let between =
        |from, to| move |filter: &mut AuditFilter| (filter.from, filter.to) = (Some(at(from)), Some(at(to)));
    let cases: [(Narrow<'_>, &[usize]); 11] = [
        (&actor("ada"), &[2, 0]),
        (&|filter| filter.action = text("application.create"), &[1, 0]),
        (&|filter| filter.action = text("application"), &[]),
        (&|filter| filter.target = text("one"), &[2, 0]),
        (&|filter| filter.outcome = Some(AuditOutcome::Denied), &[3, 2]),
        (&|filter| filter.from = Some(at(2)), &[3, 2]),
        (&|filter| filter.to = Some(at(2)), &[1, 0]),
        (&between(1, 3), &[2, 1]),
        (&between(2, 2), &[]),
        (
            &|filter| (filter.actor, filter.target) = (text("bob"), text("one")),
            &[],
        ),
        (
            &|filter| {
                (filter.actor, filter.outcome) = (text("bob"), Some(AuditOutcome::Done));
                filter.to = Some(at(3));
            },
            &[1],
        ),
    ];
    let store = fixture.store();
    for (narrow, expected) in cases {
        let mut filter = AuditFilter::default();
        narrow(&mut filter);
        let listed = store
            .audit_entries(&tenant.scope, &filter, first())
            .await
            .unwrap();
        let expected: Vec<_> = expected.iter().map(|nth| entries[*nth].clone()).collect();
        assert_eq!(listed.items, expected, "{filter:?}");
    }

    let mut ada = AuditFilter::default();
    actor("ada")(&mut ada);
    let listed = pieces(1, async |page| {
        store.audit_entries(&tenant.scope, &ada, page).await.unwrap()
    })
    .await;
    assert_eq!(listed, [[entries[2].clone()], [entries[0].clone()]]);
}

/// Of entries of a month, from one microsecond to the next, each is found between its own time and the next, however
/// old it is; also where its id is a little older or younger than it, as ids do not go back when a clock is set back.
pub async fn entries_of_any_time_are_found_by_it<H: Harness>(harness: &H) {
    const DAY: Duration = Duration::from_hours(24);
    const DRIFT: Duration = Duration::from_mins(45);
    let fixture = Fixture::new(harness);
    let tenant = fixture.tenant("acme").await;
    // The last microsecond of a millisecond.
    let start = Timestamp::from_micros(fixture.ago(DAY * 31).as_unix_millis() * 1_000 + 999);
    let moment = Duration::from_micros(1);
    let mut entries = Vec::new();
    for nth in 0..5 {
        let at = start.plus(DAY * 7 * nth);
        for (at, id_of) in [
            (at, at),
            (at.plus(moment), at.plus(moment)),
            (at.plus(DRIFT), at),
            (at.plus(moment), at.plus(DRIFT)),
        ] {
            let of_the_id = entry_at(&fixture, &tenant, id_of);
            let told = AuditEntry { at, ..of_the_id };
            commit(&fixture, &tenant, &told).await;
            entries.push(told);
        }
    }
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    let all = || entries.iter().cloned();
    for at in entries.iter().map(|entry| entry.at) {
        let next = at.plus(moment);
        for (from, to) in [
            (Some(at), Some(next)),
            (Some(at), None),
            (Some(next), None),
            (None, Some(at)),
            (None, Some(next)),
        ] {
            let filter = AuditFilter {
                from,
                to,
                ..AuditFilter::default()
            };
            let expected: Vec<_> = all()
                .filter(|entry| from.is_none_or(|from| entry.at >= from) && to.is_none_or(|to| entry.at < to))
                .collect();
            let (store, filter) = (fixture.store(), &filter);
            let listed = pieces(3, async |page| {
                store.audit_entries(&tenant.scope, filter, page).await.unwrap()
            })
            .await;
            assert_eq!(listed.concat(), expected, "{filter:?}");
        }
    }
}
