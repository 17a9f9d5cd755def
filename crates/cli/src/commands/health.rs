use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    process::ExitCode,
    time::Duration,
};

use super::{Failure, Outcome, configured};
use crate::args::HealthArgs;

/// How long connecting may take, and each silence of the answer: shorter than the health checks of containers wait.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most bytes of an answer that are read.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// What a load balancer asks too.
const READY: &str = "/health/ready";

/// Asks a node whether it is ready: for health checks of containers, whose image has nothing else to ask with.
pub(super) fn run(args: &HealthArgs) -> Outcome {
    let target = match &args.url {
        Some(url) => Target::parse(url)?,
        None => Target::of(configured(&args.config)?.server.listen),
    };
    let answer = target
        .ask()
        .map_err(|error| format!("{} does not answer: {error}", target.host))?;
    println!("{}", answer.body.trim_end());
    Ok(if answer.status == 200 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whom to ask for what.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// Host and port.
    host: String,
    /// With its query.
    path: String,
}

struct Answer {
    status: u16,
    body: String,
}

impl Target {
    /// Of a node that listens there: by the loopback, if it listens everywhere.
    fn of(listen: SocketAddr) -> Self {
        let address = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Self {
            host: SocketAddr::new(address, listen.port()).to_string(),
            path: READY.to_owned(),
        }
    }

    fn parse(url: &str) -> Result<Self, Failure> {
        let malformed = || format!("--url must be http://host:port/path, without TLS: {url}");
        let uri: http::Uri = url.parse().map_err(|_| malformed())?;
        let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(malformed().into());
        };
        Ok(Self {
            host: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            path: match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
                None | Some("/") => READY.to_owned(),
                Some(path) => path.to_owned(),
            },
        })
    }

    fn ask(&self) -> io::Result<Answer> {
        let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.host.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, TIMEOUT) {
                Ok(stream) => return self.ask_by(stream),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn ask_by(&self, mut stream: TcpStream) -> io::Result<Answer> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        // HTTP/1.0: the answer ends with the connection, and comes in one piece.
        let Self { host, path } = self;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {host}\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
        read(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn target(host: &str, path: &str) -> Target {
        Target {
            host: host.to_owned(),
            path: path.to_owned(),
        }
    }

    #[test]
    fn a_node_that_listens_everywhere_is_asked_by_the_loopback() {
        let of = |text: &str| Target::of(text.parse().unwrap());
        assert_eq!(of("0.0.0.0:8080"), target("127.0.0.1:8080", READY));
        assert_eq!(of("[::]:8080"), target("[::1]:8080", READY));
        assert_eq!(of("10.1.2.3:80"), target("10.1.2.3:80", READY));
    }

    #[test]
    fn a_url_names_whom_and_what() {
        assert_eq!(Target::parse("http://a:1").unwrap(), target("a:1", READY));
        assert_eq!(
            Target::parse("http://[::1]:9/health/live?a=b").unwrap(),
            target("[::1]:9", "/health/live?a=b")
        );
        assert_eq!(Target::parse("http://a/x").unwrap(), target("a:80", "/x"));
        for wrong in ["https://a", "a:80", "http://", "/health"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_read_whatever_its_status() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = target(&listener.local_addr().unwrap().to_string(), "/health/ready");
        let server = std::thread::spawn(move || {
            for said in [
                "HTTP/1.0 200 OK\r\n\r\nready",
                "HTTP/1.1 503 X\r\na: b\r\n\r\nnot",
                "nonsense",
            ] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.extend(byte);
                }
                assert!(request.starts_with(b"GET /health/ready HTTP/1.0\r\n"));
                stream.write_all(said.as_bytes()).unwrap();
            }
        });
        let seen = |asked: &Target| asked.ask().map(|answer| (answer.status, answer.body));
        assert_eq!(seen(&asked).unwrap(), (200, "ready".to_owned()));
        assert_eq!(seen(&asked).unwrap(), (503, "not".to_owned()));
        assert!(seen(&asked).is_err());
        server.join().unwrap();
        assert!(seen(&asked).is_err(), "nobody listens any more");
    }
}
