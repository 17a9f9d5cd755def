//! A connection that stays open between requests, and that knows what a broken request means.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Message, Response, request};

/// How a request ended.
#[derive(Debug)]
pub enum Outcome {
    /// With an answer, whatever it says.
    Answered(Response),
    /// No connection could be made: the server cannot have seen the request.
    NotSent,
    /// The connection broke after some of the request was sent: the server may or may not have acted on it.
    Unknown(anyhow::Error),
}

/// A client of one server, with at most one connection, made when first needed.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    timeout: Duration,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    /// A client that gives up on a connection or on a silence after this time.
    pub fn new(address: SocketAddr, timeout: Duration) -> Self {
        Self {
            address,
            timeout,
            stream: None,
        }
    }

    /// POST of a JSON body.
    pub fn post_json(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Outcome {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send("POST", path, &all, body)
    }

    /// Any request. It is sent once: whether to repeat it is the caller's to decide.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Outcome {
        let message = request(method, path, &self.address, headers, body);
        let Ok(mut stream) = self.take_stream() else {
            return Outcome::NotSent;
        };
        let answer = stream
            .get_mut()
            .write_all(&message)
            .map_err(anyhow::Error::from)
            .and_then(|()| Message::read(&mut stream)?.ok_or_else(|| anyhow::anyhow!("closed")));
        match answer.and_then(|answer| Ok((answer.is_last(), Response::try_from(answer)?))) {
            Ok((last, response)) => {
                if !last {
                    self.stream = Some(stream);
                }
                Outcome::Answered(response)
            }
            Err(error) => Outcome::Unknown(error),
        }
    }

    /// The open connection if the server has not closed it meanwhile, else a new one.
    fn take_stream(&mut self) -> std::io::Result<BufReader<TcpStream>> {
        if let Some(stream) = self.stream.take()
            && is_open(stream.get_ref())
        {
            return Ok(stream);
        }
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }
}

/// Between two answers a healthy connection is silent: data or an end means that the server is done with it.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let silent = stream.set_nonblocking(true).is_ok()
        && stream
            .peek(&mut byte)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    silent && stream.set_nonblocking(false).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(5);

    fn answer(stream: &mut BufReader<TcpStream>, text: &str) -> Option<Message> {
        let request = Message::read(stream).ok().flatten()?;
        stream.get_mut().write_all(text.as_bytes()).ok()?;
        Some(request)
    }

    #[test]
    fn requests_share_a_connection_until_the_server_ends_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Connection::new(listener.local_addr().unwrap(), LIMIT);
        let server = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for answers in [2, 1] {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                for _ in 0..answers {
                    answer(
                        &mut stream,
                        "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}",
                    )
                    .unwrap();
                }
                connections.push(stream.get_ref().peer_addr().unwrap());
            }
            connections
        });
        for _ in 0..2 {
            let Outcome::Answered(response) = client.post_json("/", &[], b"{}") else {
                panic!("no answer")
            };
            assert_eq!(response.status, 202);
        }
        // The server has closed after two; whether we see it before or while sending, nothing is believed sent.
        while client
            .stream
            .as_ref()
            .is_some_and(|stream| is_open(stream.get_ref()))
        {
            std::thread::yield_now();
        }
        assert!(matches!(client.post_json("/", &[], b"{}"), Outcome::Answered(_)));
        let connections = server.join().unwrap();
        assert_ne!(connections[0], connections[1]);
    }

    #[test]
    fn a_request_without_answer_is_unknown_and_one_without_server_is_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Connection::new(listener.local_addr().unwrap(), LIMIT);
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
        });
        assert!(matches!(client.post_json("/", &[], b"{}"), Outcome::Unknown(_)));
        server.join().unwrap();
        assert!(matches!(client.post_json("/", &[], b"{}"), Outcome::NotSent));
    }
}
