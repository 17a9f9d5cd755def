//! HTTP/1.1 over loopback, as far as our own tools and servers need it: blocking, no TLS, no redirects.

mod connection;
mod message;

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

pub use connection::{Connection, Outcome};
pub use message::Message;

/// The most of a long body that is in memory at once.
const POUR_BYTES: usize = 64 << 10;

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
        let stream = self.begin(method, path, headers, body)?;
        Message::read(&mut BufReader::new(stream))?
            .context("closed without an answer")?
            .try_into()
    }

    /// GET of something long: the body is handed over in pieces as it arrives, whatever the status, and is not in
    /// the answer.
    pub fn pour(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        piece: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Response> {
        let stream = self.begin("GET", path, headers, &[])?;
        Message::pour(&mut BufReader::with_capacity(POUR_BYTES, stream), piece)?
            .context("closed without an answer")?
            .try_into()
    }

    fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<TcpStream> {
        let mut all = vec![("connection", "close")];
        all.extend_from_slice(headers);
        let message = request(method, path, &self.address, &all, body);
        let mut stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.write_all(&message)?;
        Ok(stream)
    }
}

/// The bytes of a request.
fn request(method: &str, path: &str, address: &SocketAddr, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut message = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n").into_bytes();
    for (name, value) in headers {
        message.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() || method != "GET" {
        message.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(body);
    message
}

impl Response {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        message::header(&self.headers, name)
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
}

impl TryFrom<Message> for Response {
    type Error = anyhow::Error;

    fn try_from(message: Message) -> anyhow::Result<Self> {
        let status = message
            .start
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
            .with_context(|| format!("not a status line: {}", message.start))?;
        Ok(Self {
            status,
            headers: message.headers,
            body: message.body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
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
    fn what_is_no_answer_is_an_error() {
        let parse = |mut bytes: &[u8]| Message::read(&mut bytes)?.map(Response::try_from).transpose();
        assert_eq!(
            parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().status,
            204
        );
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 x\r\n\r\n").is_err());
    }
}
