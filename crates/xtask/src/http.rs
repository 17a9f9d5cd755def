//! A blocking HTTP/1.1 client for our own servers on loopback: one connection a request, no TLS, no redirects.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// Longer answers are not expected from servers under test.
const MAX_RESPONSE_BYTES: u64 = 64 << 20;

/// A server's address and how long to wait for it.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    address: SocketAddr,
    timeout: Duration,
}

/// An answer, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, decoded if it came in chunks.
    pub body: Vec<u8>,
}

impl Client {
    /// A client that gives up on a connection or on a silence after this time.
    pub fn new(address: SocketAddr, timeout: Duration) -> Self {
        Self { address, timeout }
    }

    /// GET.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Response> {
        self.send("GET", path, headers, &[])
    }

    /// POST of a JSON body.
    pub fn post_json(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> anyhow::Result<Response> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send("POST", path, &all, body)
    }

    /// Any request.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Response> {
        let mut message = Vec::with_capacity(body.len() + 512);
        write!(message, "{method} {path} HTTP/1.1\r\n")?;
        write!(message, "host: {}\r\nconnection: close\r\n", self.address)?;
        for (name, value) in headers {
            write!(message, "{name}: {value}\r\n")?;
        }
        if !body.is_empty() || method != "GET" {
            write!(message, "content-length: {}\r\n", body.len())?;
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(body);
        let mut stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.write_all(&message)?;
        let mut answer = Vec::new();
        stream.take(MAX_RESPONSE_BYTES).read_to_end(&mut answer)?;
        Response::parse(&answer)
    }
}

impl Response {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| {
            format!(
                "status {}, not JSON: {}",
                self.status,
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    fn parse(answer: &[u8]) -> anyhow::Result<Self> {
        let end = answer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .context("no end of the headers")?;
        let head = std::str::from_utf8(&answer[..end]).context("headers are not text")?;
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
            .with_context(|| format!("not a status line: {first}"))?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Self {
            status,
            headers,
            body: Vec::new(),
        };
        let body = &answer[end + 4..];
        response.body = response.decode(body)?;
        Ok(response)
    }

    fn decode(&self, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        if self
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return dechunk(body).context("malformed chunks");
        }
        let announced = self
            .header("content-length")
            .and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length != body.len()) {
            bail!(
                "the body was cut off: {} of {} bytes",
                body.len(),
                announced.unwrap_or_default()
            );
        }
        Ok(body.to_vec())
    }
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        let (chunk, after) = rest.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_request_goes_out_whole_and_the_answer_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(listener.local_addr().unwrap(), Duration::from_secs(5));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).unwrap();
            stream
                .write_all(b"HTTP/1.1 202 Accepted\r\nX-Id: 7\r\nContent-Length: 8\r\n\r\n{\"a\": 1}")
                .unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let answer = client
            .post_json("/v1/x", &[("authorization", "Bearer t")], b"{}")
            .unwrap();
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /v1/x HTTP/1.1\r\n") && request.ends_with("\r\n\r\n{}"));
        assert!(request.contains("content-length: 2\r\n") && request.contains("authorization: Bearer t\r\n"));
        assert_eq!((answer.status, answer.header("x-id")), (202, Some("7")));
        assert_eq!(answer.json().unwrap()["a"], 1);
    }

    #[test]
    fn chunks_are_joined() {
        let answer =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(Response::parse(answer).unwrap().body, b"abcde");
        assert_eq!(dechunk(b"5\r\nabc"), None);
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").is_err());
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\n").is_err());
        assert!(Response::parse(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
