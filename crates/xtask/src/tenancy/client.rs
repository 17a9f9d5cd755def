//! A client of one node that says what it expects.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::http::{Connection, Outcome, Response};

const TIMEOUT: Duration = Duration::from_secs(30);

/// One connection to one node, with one token, which may be exchanged.
#[derive(Debug)]
pub(crate) struct Client {
    connection: Connection,
    authorization: String,
}

impl Client {
    /// A client that sends this token; none if it is empty.
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        let mut client = Self {
            connection: Connection::new(address, TIMEOUT),
            authorization: String::new(),
        };
        client.bear(token);
        client
    }

    /// From now on sends this token.
    pub(crate) fn bear(&mut self, token: &str) {
        self.authorization = if token.is_empty() {
            String::new()
        } else {
            format!("Bearer {token}")
        };
    }

    /// Asks once and answers what came, whatever it says.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Response> {
        let body = body.map(ToString::to_string);
        match self.send(method, path, body.as_deref().unwrap_or_default().as_bytes()) {
            Outcome::Answered(response) => Ok(response),
            Outcome::NotSent => bail!("{method} {path}: no connection"),
            Outcome::Unknown(error) => Err(error.context(format!("{method} {path}: no answer"))),
        }
    }

    /// Asks once, with this text as the body, if there is any.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Outcome {
        let mut headers = Vec::new();
        if !self.authorization.is_empty() {
            headers.push(("authorization", self.authorization.as_str()));
        }
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        self.connection.send(method, path, &headers, body)
    }

    /// Asks once and expects this status, and JSON unless there is no body.
    pub(crate) fn expect(
        &mut self,
        status: u16,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.ask(method, path, body)?;
        ensure!(
            answer.status == status,
            "{method} {path}: {} instead of {status}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        answer.json()
    }

    /// GET, answered with 200.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.expect(200, "GET", path, None)
    }

    /// POST, answered with 201.
    pub(crate) fn create(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.expect(201, "POST", path, Some(body))
    }
}

/// A text of an answer.
pub(crate) fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    answer[field]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("the answer has no `{field}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Message;
    use serde_json::json;
    use std::io::{BufReader, Write};
    use std::net::TcpListener;

    #[test]
    fn what_is_not_expected_is_an_error_that_says_what_came() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::new(listener.local_addr().unwrap(), "t1");
        let server = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut seen = Vec::new();
            for answer in [
                "HTTP/1.1 204 No Content\r\n\r\n",
                "HTTP/1.1 403 F\r\ncontent-length: 16\r\n\r\n{\"code\":\"no-no\"}",
            ] {
                seen.push(Message::read(&mut stream).unwrap().unwrap());
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        assert_eq!(client.expect(204, "DELETE", "/a", None).unwrap(), Value::Null);
        client.bear("t2");
        let error = client.create("/b", &json!({ "x": 1 })).unwrap_err().to_string();
        assert!(error.contains("403") && error.contains("no-no"), "{error}");
        let seen = server.join().unwrap();
        assert_eq!(seen[0].header("authorization"), Some("Bearer t1"));
        assert_eq!((seen[0].header("content-type"), seen[0].body.len()), (None, 0));
        assert_eq!(seen[1].header("authorization"), Some("Bearer t2"));
        assert_eq!(seen[1].body, br#"{"x":1}"#);
    }
}
