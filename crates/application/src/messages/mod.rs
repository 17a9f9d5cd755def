//! Messages: publishing, and looking at what was published.

mod cancel;
mod draft;
mod expunge_payload;
mod get;
mod get_payload;
mod list;
mod publish;
mod publish_batch;
mod vetting;

pub use cancel::{CancelMessage, CancelMessageHandler};
pub(crate) use draft::refusal;
pub use draft::{MessageDraft, Published};
pub use expunge_payload::{ExpungePayload, ExpungePayloadHandler};
pub use get::{GetMessage, GetMessageHandler};
pub use get_payload::{GetPayload, GetPayloadHandler};
pub use list::{ListMessages, ListMessagesHandler};
pub use publish::{PublishMessage, PublishMessageHandler};
pub use publish_batch::{PublishBatch, PublishBatchHandler};
