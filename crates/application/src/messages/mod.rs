//! Messages: publishing, and looking at what was published.

mod get;
mod get_payload;
mod publish;

pub use get::{GetMessage, GetMessageHandler};
pub use get_payload::{GetPayload, GetPayloadHandler};
pub(crate) use publish::refusal;
pub use publish::{PublishMessage, PublishMessageHandler, Published};
