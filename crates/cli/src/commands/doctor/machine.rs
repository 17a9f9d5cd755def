use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    time::Duration,
};

use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{super::open_files::must_be_told, report::Report};
use crate::{configuration::Configuration, files::Files};

/// How long a server may take to say who it is.
const LIMIT: Duration = Duration::from_secs(3);
/// The most that is read of its answer.
const MOST: u64 = 16 << 10;

/// Looks at ports and limits.
pub(super) async fn examine(configuration: &Configuration, report: &mut Report) {
    port("API", "server.listen", configuration.server.listen, report).await;
    if configuration.management.enabled {
        port(
            "management",
            "management.listen",
            configuration.management.listen,
            report,
        )
        .await;
    }
    files(configuration, getrlimit(Resource::Nofile).maximum, report);
}

async fn port(what: &str, key: &str, address: SocketAddr, report: &mut Report) {
    match TcpListener::bind(address) {
        Ok(_) => report.ok("ports", format!("{address} is free for the {what}")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if is_ours(address).await {
                report.ok("ports", format!("a Postrider serves the {what} on {address}"));
            } else {
                report.failed(
                    "ports",
                    format!("{address} is taken by another program"),
                    format!("end it, or choose another address ({key})"),
                );
            }
        }
        Err(error) => report.failed(
            "ports",
            format!("{address}: {error}"),
            format!("choose an address that this account may listen on ({key})"),
        ),
    }
}

/// Whether whoever listens there tells of its health as we do.
async fn is_ours(address: SocketAddr) -> bool {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let asked = async {
        let mut stream = TcpStream::connect((ip, address.port())).await?;
        stream
            .write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer).await?;
        io::Result::Ok(String::from_utf8_lossy(&answer).contains("\"heartbeat_age_ms\""))
    };
    matches!(timeout(LIMIT, asked).await, Ok(Ok(true)))
}

/// `serve` raises its limit to the highest that it may.
fn files(configuration: &Configuration, highest: Option<u64>, report: &mut Report) {
    let wanted = Files::wanted(configuration);
    let Some(highest) = highest else {
        report.ok("open files", "no limit");
        return;
    };
    let said = format!("{highest} may be open at once");
    match wanted.fewer_clients(Some(highest)) {
        Some(clients) if !must_be_told(configuration, Some(highest)) => report.ok(
            "open files",
            format!("{said}: each worker of the API holds {clients} clients at the most"),
        ),
        Some(clients) => report.warning(
            "open files",
            format!(
                "{said}; attempts in flight, the database's connections and the rest may take {}, clients {}: each worker \
                 of the API holds {clients} clients at the most",
                wanted.ours, wanted.of_clients
            ),
            "raise the limit (ulimit -Hn, LimitNOFILE of systemd), or lower server.max_connections_per_worker and \
             delivery.max_in_flight",
        ),
        None => report.ok("open files", said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_free_ours_or_taken() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = [r#"{"status":"live","heartbeat_age_ms":3}"#, "hello"];
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.unwrap();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}",
                    answer.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            listener
        });
        let mut report = Report::default();
        port("API", "server.listen", address, &mut report).await;
        assert_eq!(report.json()["status"], "ok");
        port("API", "server.listen", address, &mut report).await;
        assert_eq!(report.json()["checks"][1]["status"], "failed");
        drop(server.join_next().await.unwrap().unwrap());
        port("API", "server.listen", address, &mut report).await;
        assert_eq!(report.json()["checks"][2]["status"], "ok");
    }

    #[test]
    fn a_low_limit_of_files_is_told() {
        let mut report = Report::default();
        files(&Configuration::default(), Some(64), &mut report);
        assert_eq!(report.json()["status"], "warning");
        let mut report = Report::default();
        files(&Configuration::default(), None, &mut report);
        assert_eq!(report.json()["status"], "ok");
    }
}
