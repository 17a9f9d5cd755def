//! One connection of a sender, which may bring many webhooks.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::Shared;
use crate::http::Message;

/// How often an idle connection looks whether we stop.
const IDLE_POLL: Duration = Duration::from_millis(250);
/// How long a message may take once it has begun.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);

const GOOD: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const BAD: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";

/// Serves the connection until the sender ends it or we stop.
pub(super) fn serve(stream: TcpStream, shared: &Shared) -> anyhow::Result<()> {
    // Some systems hand the listener's mode on.
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(MESSAGE_LIMIT))?;
    let mut stream = BufReader::new(stream);
    while await_message(&mut stream, shared)? {
        let Some(request) = Message::read(&mut stream)? else {
            return Ok(());
        };
        let (place, good) = shared.take(&request);
        shared.hold(place);
        stream.get_mut().write_all(if good { GOOD } else { BAD })?;
        shared.note_answer(place);
        if request.is_last() {
            return Ok(());
        }
    }
    Ok(())
}

/// Whether another message has begun; false once the sender or we have ended.
fn await_message(stream: &mut BufReader<TcpStream>, shared: &Shared) -> anyhow::Result<bool> {
    stream.get_ref().set_read_timeout(Some(IDLE_POLL))?;
    loop {
        match stream.fill_buf() {
            Ok([]) => return Ok(false),
            Ok(_) => break,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if shared.is_stopping() {
                    return Ok(false);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    stream.get_ref().set_read_timeout(Some(MESSAGE_LIMIT))?;
    Ok(true)
}
