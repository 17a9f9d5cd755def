use super::*;
use crate::{Aggregate as _, deliveries::FailureReason};
use uuid::Uuid;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn begun(from: i64, to: Option<i64>) -> Result<Replay, InvalidValue> {
    let id = Uuid::from_u128(1);
    let new = NewReplay {
        mode: ReplayMode::Missing,
        from: at(from),
        to: to.map(at),
        limit: ReplayLimit::new(3).unwrap(),
    };
    let whose = (ApplicationId::from_uuid(id), EndpointId::from_uuid(id));
    Replay::begin(
        ReplayId::from_uuid(id),
        TenantId::from_uuid(id),
        whose,
        new,
        at(100),
    )
}

#[test]
fn what_is_published_later_is_none_of_its_business() {
    assert_eq!(begun(0, None).unwrap().state().to, at(100));
    assert_eq!(begun(0, Some(500)).unwrap().state().to, at(100));
    assert_eq!(begun(0, Some(50)).unwrap().state().to, at(50));
    for (from, to) in [(50, Some(50)), (100, None), (200, Some(300))] {
        assert_eq!(begun(from, to).unwrap_err().rule, Rule::Range, "{from} {to:?}");
    }
}

#[test]
fn it_ends_once() {
    let mut replay = begun(0, None).unwrap();
    let step = Progress {
        considered: 5,
        queued: 2,
        skipped: 3,
    };
    let message = MessageId::from_uuid(Uuid::from_u128(9));
    replay.advance(Some(message), step);
    replay.advance(None, Progress::default());
    assert_eq!((replay.state().cursor, replay.state().room()), (Some(message), 1));
    assert_eq!(replay.cancel(at(7)), Change::Made);
    assert_eq!(replay.complete(at(8)), Change::None);
    assert_eq!(replay.fail(ReplayFailure::EndpointGone, at(9)), Change::None);
    assert_eq!(replay.state().status, ReplayStatus::Cancelled);
    assert_eq!(replay.state().finished_at, Some(at(7)));
    let events = replay.take_events();
    assert!(matches!(
        events.as_slice(),
        [ReplayEvent::Created { .. }, ReplayEvent::Finished { status: ReplayStatus::Cancelled, progress, .. }]
            if *progress == step
    ));
}

#[test]
fn what_is_pending_is_wanted_by_no_mode() {
    let delivery = |status| Delivery {
        status,
        ..Delivery::begin(
            MessageId::from_uuid(Uuid::from_u128(1)),
            EndpointId::from_uuid(Uuid::from_u128(2)),
            at(0),
        )
    };
    let pending = delivery(DeliveryStatus::Pending { due_at: at(0) });
    let delivered = delivery(DeliveryStatus::Delivered);
    let failed = delivery(DeliveryStatus::Failed(FailureReason::Exhausted));
    let cancelled = delivery(DeliveryStatus::Cancelled);
    let wanted = |mode: ReplayMode| {
        [
            None,
            Some(&pending),
            Some(&delivered),
            Some(&failed),
            Some(&cancelled),
        ]
        .map(|delivery| mode.wants(delivery))
    };
    assert_eq!(wanted(ReplayMode::All), [true, false, true, true, true]);
    assert_eq!(wanted(ReplayMode::Failed), [false, false, false, true, true]);
    assert_eq!(wanted(ReplayMode::Missing), [true, false, false, false, false]);
}

#[test]
fn names_and_limits() {
    for mode in ReplayMode::ALL {
        assert_eq!(ReplayMode::parse(mode.as_str()), Some(mode));
    }
    for why in ReplayFailure::ALL {
        assert_eq!(ReplayFailure::parse(why.as_str()), Some(why));
    }
    assert_eq!(ReplayMode::parse("some"), None);
    for bad in [0, ReplayLimit::MAX + 1, u32::MAX] {
        assert!(ReplayLimit::new(bad).is_err(), "{bad}");
    }
    assert_eq!(ReplayLimit::new(ReplayLimit::MAX).unwrap().get(), 1_000_000);
}
