//! Messages: as they are published, alone and together, and as they are shown.

mod batch;
mod new;
mod published;
mod shown;

use postrider_domain::{InvalidValue, Rule};

pub(crate) use batch::{NewBatch, PublishedBatch};
pub(crate) use new::NewMessage;
pub(crate) use published::Published;
pub(crate) use shown::{Message, query};

/// The header that makes a repeated publish recognisable.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The violation of a header that is no text, or stands twice.
pub(crate) fn malformed_key() -> InvalidValue {
    InvalidValue::new(Rule::Charset, "must stand once and be visible ASCII")
}
