//! As much of HTTP/1.1 as costs next to nothing: heads in a buffer, bodies by their told length.

/// A message in a buffer, of which the head is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// The request line or the status line.
    pub(super) start: &'a [u8],
    /// `webhook-id`, or empty.
    pub(super) webhook_id: &'a [u8],
    /// The body, as told by `content-length`.
    pub(super) body: &'a [u8],
    /// How long it is in all.
    pub(super) length: usize,
    /// Whether its sender says that the connection ends with it.
    pub(super) last: bool,
}

/// What stands at the beginning of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// A whole message.
    Whole(Message<'a>),
    /// The beginning of one.
    Part,
    /// Something that we do not speak.
    Strange,
}

/// Reads the message at the beginning of the buffer.
pub(super) fn read(buffer: &[u8]) -> Read<'_> {
    let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Read::Part;
    };
    let mut lines = buffer[..end].split(|byte| *byte == b'\n').map(trimmed);
    let start = lines.next().unwrap_or_default();
    let (mut body, mut webhook_id, mut last) = (0, &[][..], false);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return Read::Strange;
        };
        let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
        if name.eq_ignore_ascii_case(b"content-length") {
            let told = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            let Some(told) = told else {
                return Read::Strange;
            };
            body = told;
        } else if name.eq_ignore_ascii_case(b"webhook-id") {
            webhook_id = value;
        } else if name.eq_ignore_ascii_case(b"connection") {
            last |= value
                .split(|byte| *byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Read::Strange;
        }
    }
    match buffer[end + 4..].get(..body) {
        None => Read::Part,
        Some(body) => Read::Whole(Message {
            start,
            webhook_id,
            body,
            length: end + 4 + body.len(),
            last,
        }),
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.trim_ascii()
}

/// A short name of an id: FNV-1a, never below 3, which mean something else in the lists here.
pub(super) fn short(id: &[u8]) -> u64 {
    let hash = id.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_follow_one_another_in_a_buffer() {
        let buffer = b"POST /e/1 HTTP/1.1\r\nWebhook-Id: msg_1\r\nContent-Length: 2\r\n\r\n{}\
            GET / HTTP/1.1\r\nConnection: te, Close\r\n\r\n";
        let Read::Whole(first) = read(buffer) else {
            panic!("no message")
        };
        assert_eq!(first.start, b"POST /e/1 HTTP/1.1");
        assert_eq!((first.webhook_id, first.body), (&b"msg_1"[..], &b"{}"[..]));
        let Read::Whole(second) = read(&buffer[first.length..]) else {
            panic!("no second message")
        };
        assert_eq!((second.body, first.last, second.last), (&b""[..], false, true));
        assert_eq!(first.length + second.length, buffer.len());
        assert_eq!(read(&buffer[..first.length - 1]), Read::Part);
        assert_eq!(
            read(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"),
            Read::Strange
        );
    }

    #[test]
    fn short_names_differ() {
        assert_ne!(short(b"msg_1"), short(b"msg_2"));
        assert!(short(b"") > 2);
    }
}
