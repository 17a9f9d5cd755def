//! Postrider's engine: claims work, fans out, sends, settles
