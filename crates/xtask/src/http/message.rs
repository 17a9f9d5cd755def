//! Reading HTTP/1.1 messages, requests and answers alike, from a stream that may go on afterwards.

use std::io::{BufRead, Read};

use anyhow::{Context, bail, ensure};

/// Far above any head of ours or of the product's.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Longer bodies are not expected on either side.
const MAX_BODY_BYTES: usize = 64 << 20;
const MAX_CHUNK_LINE_BYTES: u64 = 1 << 10;

/// A request or an answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The request line or the status line.
    pub start: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, decoded if it came in chunks.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads one message; `None` if the stream ended before its first byte.
    ///
    /// Only a body whose length is told is read (by `content-length` or chunks), which is what HTTP/1.1 with
    /// connections that stay open needs; without either there is none.
    pub fn read(stream: &mut impl BufRead) -> anyhow::Result<Option<Self>> {
        let mut body = Vec::new();
        let message = Self::pour(stream, |piece| {
            ensure!(
                body.len() + piece.len() <= MAX_BODY_BYTES,
                "a body of more than {MAX_BODY_BYTES} bytes"
            );
            body.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(message.map(|message| Self { body, ..message }))
    }

    /// Like [`Self::read`], but hands the body over in pieces as it arrives, and keeps none of it.
    pub fn pour(
        stream: &mut impl BufRead,
        mut piece: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(head) = head(stream)? else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&head).context("headers are not text")?;
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let message = Self {
            start,
            headers,
            body: Vec::new(),
        };
        message.pour_body(stream, &mut piece)?;
        Ok(Some(message))
    }

    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether the sender goes away after this message.
    pub fn is_last(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn pour_body(&self, stream: &mut impl BufRead, piece: &mut Sink<'_>) -> anyhow::Result<()> {
        let chunked = self
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        if chunked {
            return dechunk(stream, piece).context("malformed chunks");
        }
        let length = match self.header("content-length") {
            Some(text) => text.parse().context("malformed content-length")?,
            None => 0,
        };
        take(stream, length, piece)
    }
}

/// Takes the body piece by piece.
type Sink<'a> = dyn FnMut(&[u8]) -> anyhow::Result<()> + 'a;

/// The first header of this name (in lower case).
pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

/// Everything up to the empty line.
fn head(stream: &mut impl BufRead) -> anyhow::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let room = u64::try_from(MAX_HEAD_BYTES - head.len())?;
        let read = stream.by_ref().take(room).read_until(b'\n', &mut head)?;
        if read == 0 && head.is_empty() {
            return Ok(None);
        }
        ensure!(read > 0, "no end of the headers");
    }
    Ok(Some(head))
}

fn take(stream: &mut impl BufRead, length: usize, piece: &mut Sink<'_>) -> anyhow::Result<()> {
    let mut missing = length;
    while missing > 0 {
        let found = stream.fill_buf()?;
        ensure!(
            !found.is_empty(),
            "the body was cut off: {} of {length} bytes",
            length - missing
        );
        let found = &found[..found.len().min(missing)];
        let read = found.len();
        piece(found)?;
        stream.consume(read);
        missing -= read;
    }
    Ok(())
}

fn dechunk(stream: &mut impl BufRead, piece: &mut Sink<'_>) -> anyhow::Result<()> {
    loop {
        let size = line(stream)?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .context("malformed size")?;
        if size == 0 {
            // Trailers, if any, and the empty line.
            while !line(stream)?.is_empty() {}
            return Ok(());
        }
        take(stream, size, piece)?;
        if !line(stream)?.is_empty() {
            bail!("a chunk is longer than it says");
        }
    }
}

fn line(stream: &mut impl BufRead) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    stream.take(MAX_CHUNK_LINE_BYTES).read_until(b'\n', &mut bytes)?;
    let line = bytes.strip_suffix(b"\r\n").context("no end of the line")?;
    Ok(std::str::from_utf8(line)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> anyhow::Result<Option<Message>> {
        Message::read(&mut bytes)
    }

    #[test]
    fn messages_follow_each_other_on_one_stream() {
        let mut stream: &[u8] = b"POST /a HTTP/1.1\r\nX-Id: 7\r\nContent-Length: 2\r\n\r\n{}\
            POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\nConnection: Close\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        let first = Message::read(&mut stream).unwrap().unwrap();
        assert_eq!(
            (first.start.as_str(), first.body.as_slice()),
            ("POST /a HTTP/1.1", &b"{}"[..])
        );
        assert_eq!((first.header("x-id"), first.is_last()), (Some("7"), false));
        let second = Message::read(&mut stream).unwrap().unwrap();
        assert_eq!((second.body.as_slice(), second.is_last()), (&b"abcde"[..], true));
        assert_eq!(Message::read(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_body_is_poured_as_it_comes() {
        let mut stream: &[u8] =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nmore";
        let mut seen = Vec::new();
        let message = Message::pour(&mut stream, |piece| {
            seen.push(piece.to_vec());
            Ok(())
        });
        assert!(message.unwrap().unwrap().body.is_empty());
        assert_eq!((seen.concat(), stream), (b"abcde".to_vec(), &b"more"[..]));
        let refused = Message::pour(
            &mut &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab"[..],
            |_| bail!("no"),
        );
        assert!(refused.is_err());
    }

    #[test]
    fn what_is_cut_or_too_long_is_an_error() {
        assert!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\n").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n").is_err());
        assert!(read(&vec![b'x'; MAX_HEAD_BYTES + 1]).is_err());
    }
}
