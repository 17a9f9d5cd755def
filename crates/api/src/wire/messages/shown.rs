use postrider_application::{
    Error,
    messages::ListMessages,
    ports::{MessageFilter, MessageStatus, MessageView},
};
use postrider_domain::{
    event_types::EventTypeName,
    messages::{Channel, DedupKey},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    extract::MessageQuery,
    wire::{Checks, page, path::ApplicationPath, time},
};

/// The query that a query string asks.
pub(crate) fn query(path: &ApplicationPath, query: MessageQuery) -> Result<ListMessages, Error> {
    let mut checks = Checks::default();
    let application = path.application(&mut checks);
    let page = page::request(&query.page, &mut checks);
    let event_type = checks.optional("event_type", query.event_type.as_deref(), EventTypeName::parse);
    let channel = checks.optional("channel", query.channel.as_deref(), Channel::parse);
    let event_id = checks.optional("event_id", query.event_id, |id| {
        DedupKey::event_id(&id).map(|_| id)
    });
    let from = checks.optional("from", query.from.as_deref(), time::parse);
    let to = checks.optional("to", query.to.as_deref(), time::parse);
    let status = checks.optional("status", query.status.as_deref(), MessageStatus::parse);
    let (application, page, event_type, channel, event_id, from, to, status) =
        checks.all((application, page, event_type, channel, event_id, from, to, status))?;
    let filter = MessageFilter {
        event_type,
        channel,
        event_id,
        from,
        to,
        status,
    };
    Ok(ListMessages {
        application,
        filter,
        page,
    })
}

/// A message, without its payload.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    /// Its id, the `webhook-id` of every attempt.
    #[schema(examples("msg_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// The application that received it.
    #[schema(examples("app_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    application: String,
    /// What happened.
    #[schema(examples("invoice.paid"))]
    event_type: String,
    /// Where in the application it happened.
    channels: Vec<String>,
    /// Your own id of the event.
    #[schema(required)]
    event_id: Option<String>,
    /// The payload's media type.
    #[schema(examples("application/json"))]
    content_type: String,
    /// The payload's length in bytes.
    #[schema(examples(39))]
    payload_bytes: u64,
    /// `scheduled`: its time has not come; `cancelled` before it came; `accepted`: it is delivered, or was.
    #[schema(examples("accepted"))]
    status: &'static str,
    /// When it was accepted.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
    /// Not before when it is delivered, if you said so.
    #[schema(required, format = "date-time")]
    deliver_at: Option<String>,
    /// When it was cancelled.
    #[schema(required, format = "date-time")]
    cancelled_at: Option<String>,
    /// When its payload was removed on request.
    #[schema(required, format = "date-time")]
    payload_expunged_at: Option<String>,
}

impl From<MessageView> for Message {
    fn from(view: MessageView) -> Self {
        Self {
            id: view.id.to_string(),
            application: view.application.to_string(),
            event_type: view.event_type.as_str().to_owned(),
            channels: view
                .channels
                .iter()
                .map(|channel| channel.as_str().to_owned())
                .collect(),
            event_id: view.event_id,
            content_type: view.content_type,
            payload_bytes: view.payload_bytes,
            status: view.status.as_str(),
            created_at: time::show(view.created_at),
            deliver_at: view.deliver_at.map(time::show),
            cancelled_at: view.cancelled_at.map(time::show),
            payload_expunged_at: view.payload_expunged_at.map(time::show),
        }
    }
}
