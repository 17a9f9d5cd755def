//! Postrider's engine: claims work, fans out, sends, settles

mod sender;
mod options;

pub use sender::{HttpSender, HttpSenderError};
pub use options::{EngineOptions, HttpOptions, OptionsError};
