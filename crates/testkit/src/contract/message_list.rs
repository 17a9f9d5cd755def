//! Messages of an application: the newest first, there and back, by what they are and by when they were accepted.

use std::time::Duration;

use postrider_application::ports::{MessageFilter, MessageStatus, MessageViews as _};
use postrider_domain::{
    MessageId, Timestamp,
    event_types::EventTypeName,
    messages::{Channel, Channels, Message},
};

use super::{
    Customer, Fixture, Harness, Tenancy,
    claiming::given,
    paging::pieces,
    scheduling::{accept, cancel},
};

const HOUR: Duration = Duration::from_hours(1);

/// The messages that the filter lets through.
async fn listed<H: Harness>(
    fixture: &Fixture<'_, H>,
    (tenant, customer): (&Tenancy, &Customer),
    filter: &MessageFilter,
) -> Vec<MessageId> {
    let store = fixture.store();
    let list = pieces(2, async |page| {
        let page = store.messages(&tenant.scope, customer.id, filter, page).await;
        page.unwrap()
    });
    list.await.concat().iter().map(|view| view.id).collect()
}

/// Five messages: a bare one, one of another type on two channels, one with an id on another channel, one for later, and
/// one for later that was cancelled.
async fn five<H: Harness>(fixture: &Fixture<'_, H>, tenant: &Tenancy, customer: &Customer) -> Vec<MessageId> {
    let channels = |names: &[&str]| {
        Channels::new(names.iter().map(|name| Channel::parse(name).unwrap()).collect()).unwrap()
    };
    let later = Some(fixture.now().plus(HOUR));
    let new = || fixture.message(customer);
    let mut ids = Vec::new();
    for message in [
        new(),
        Message {
            event_type: EventTypeName::parse("invoice.sent").unwrap(),
            channels: channels(&["a", "b"]),
            ..new()
        },
        Message {
            event_id: Some("evt-1".to_owned()),
            channels: channels(&["b:c"]),
            ..new()
        },
        Message {
            deliver_at: later,
            ..new()
        },
        Message {
            deliver_at: later,
            ..new()
        },
    ] {
        ids.push(accept(fixture, message).await);
    }
    cancel(fixture, tenant, customer, ids[4]).await.unwrap();
    ids
}

/// By type, channel, id and status, alone and together; of their own application only.
pub async fn messages_are_listed_by_what_they_are<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let sibling = fixture.application(&tenant).await;
    fixture.accepted(&sibling).await;
    let ids = five(&fixture, &tenant, &customer).await;
    let all = MessageFilter::default();
    let by_status = |status| MessageFilter {
        status: Some(status),
        ..MessageFilter::default()
    };
    let on = |channel| MessageFilter {
        channel: Some(Channel::parse(channel).unwrap()),
        ..MessageFilter::default()
    };
    let of_type = MessageFilter {
        event_type: Some(EventTypeName::parse("invoice.sent").unwrap()),
        ..all.clone()
    };
    let with_id = MessageFilter {
        event_id: Some("evt-1".to_owned()),
        ..all.clone()
    };
    let of_type_on_channel = MessageFilter {
        channel: Some(Channel::parse("b:c").unwrap()),
        ..of_type.clone()
    };
    for (filter, wanted) in [
        (all, vec![4, 3, 2, 1, 0]),
        (by_status(MessageStatus::Accepted), vec![2, 1, 0]),
        (by_status(MessageStatus::Scheduled), vec![3]),
        (by_status(MessageStatus::Cancelled), vec![4]),
        (on("a"), vec![1]),
        (on("b"), vec![1]),
        (on("b:c"), vec![2]),
        (on("c"), vec![]),
        (of_type, vec![1]),
        (with_id, vec![2]),
        (of_type_on_channel, vec![]),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(|nth: usize| ids[nth]).collect();
        assert_eq!(
            listed(&fixture, (&tenant, &customer), &filter).await,
            wanted,
            "{filter:?}"
        );
    }
}

/// From the microsecond on in which one was accepted it is found, and before that microsecond it is not.
pub async fn messages_are_found_by_the_time_of_their_acceptance<H: Harness>(harness: &H) {
    let (fixture, tenant, customer) = given(harness).await;
    let begun = fixture.now();
    let at = |nth: u64| begun.plus(Duration::from_micros(nth));
    let mut ids = Vec::new();
    for nth in 0..4 {
        let message = Message {
            created_at: at(nth),
            ..fixture.message(&customer)
        };
        ids.insert(0, accept(&fixture, message).await);
    }
    let ends = [Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX)];
    for (from, to, wanted) in [
        (Some(at(0)), None, &ids[..]),
        (Some(at(2)), None, &ids[..2]),
        (Some(at(4)), None, &[]),
        (None, Some(at(0)), &[]),
        (None, Some(at(3)), &ids[1..]),
        (Some(at(1)), Some(at(3)), &ids[1..3]),
        (Some(at(2)), Some(at(2)), &[]),
        (Some(begun.minus(HOUR)), Some(begun.plus(HOUR)), &ids[..]),
        (Some(begun.plus(HOUR)), None, &[]),
        (Some(ends[0]), Some(ends[1]), &ids[..]),
    ] {
        let filter = MessageFilter {
            from,
            to,
            ..MessageFilter::default()
        };
        assert_eq!(
            listed(&fixture, (&tenant, &customer), &filter).await,
            wanted,
            "{filter:?}"
        );
    }
}
