//! What arrives at the socket before any middleware: nothing of it may bring the server down.

use std::{sync::Arc, time::Duration};

use actix_web::HttpServer;
use postrider_api::{Limits, app};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Api, Setup};

#[actix_web::test]
async fn hostile_requests_do_not_bring_the_server_down() {
    let limits = Limits {
        body_timeout: Duration::from_secs(3),
        ..Limits::default()
    };
    let api = Api::start_with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let tenancy = api.tenancy("acme").await;
    let context = Arc::clone(&api.context);
    let server = HttpServer::new(move || app(Arc::clone(&context)))
        .workers(1)
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);

    let authorization = format!("authorization: Bearer {}\r\n", tenancy.owner);
    let post = "POST /v1/applications HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    for (what, request, expected) in [
        (
            "a header of 10 MB",
            format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(10_000_000)),
            None,
        ),
        (
            "a path of 10 MB",
            format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(10_000_000)),
            None,
        ),
        (
            "200 headers",
            format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200)),
            None,
        ),
        ("no HTTP", "hello\r\n\r\n".to_owned(), None),
        ("NUL in the path", "GET /\0 HTTP/1.1\r\n\r\n".to_owned(), None),
        (
            "an endless chunked body",
            format!(
                "{post}{authorization}transfer-encoding: chunked\r\n\r\n{}",
                format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(16)
            ),
            Some("413"),
        ),
        (
            "a malformed chunk",
            format!("{post}{authorization}transfer-encoding: chunked\r\n\r\nzz\r\n"),
            Some("400"),
        ),
        (
            "a body that does not come",
            format!("{post}{authorization}content-length: 100\r\n\r\n{{"),
            Some("400"),
        ),
        (
            "an encoded path",
            format!("GET /v1/applications/%2e%2e%2f%00%ff HTTP/1.1\r\nhost: x\r\n{authorization}\r\n"),
            Some("422"),
        ),
    ] {
        let answer = exchange(address, request.as_bytes()).await;
        // A server that closes before it read everything resets the connection, and its answer may be lost on the
        // way; only whoever sends no more than is read is sure to hear it.
        let heard = !answer.is_empty() || !request.contains("chunked");
        if let Some(status) = expected
            && heard
        {
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{what}: {answer}"
            );
            assert!(answer.contains("application/problem+json"), "{what}: {answer}");
        }
        assert!(!answer.starts_with("HTTP/1.1 5"), "{what}: {answer}");
        let alive = exchange(
            address,
            b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        )
        .await;
        assert!(alive.starts_with("HTTP/1.1 200"), "after {what}: {alive}");
    }
    handle.stop(true).await;
    running.await.unwrap().unwrap();
}

/// Sends, and reads until the server closes or has nothing more to say. The server may well hang up while we are
/// still writing.
async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let write = async { writer.write_all(request).await.ok() };
    let read = async {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(length @ 1..)) = timeout(Duration::from_secs(15), reader.read(&mut buffer)).await {
            answer.extend_from_slice(&buffer[..length]);
            if whole(&answer) {
                break;
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    futures_util::future::join(write, read).await.1
}

/// Whether head and announced body are there.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse::<usize>()
            .ok()
    });
    length.is_some_and(|length| body.len() >= length)
}
