//! Connections that somebody holds without asking anything.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use postrider_api::{
    Health,
    composition::{Server, ServerOptions, SystemClock},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time,
};

use crate::platform::{open, open_with};

/// Far longer than a connection may be quiet here, and shorter than the time-out of a body.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_is_asked_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let platform = open(directory.path()).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let options = ServerOptions {
        request_head_timeout: Duration::from_millis(500),
        // The framework's clock for this ticks every half second.
        keep_alive: Duration::from_secs(2),
        ..ServerOptions::default()
    };
    let server = Server::start(&platform, listener, options).unwrap();
    let address = server.address();
    let live = "GET /health/live HTTP/1.1\r\nhost: x\r\n";
    let mut holders = JoinSet::new();
    for (first, then) in [
        (String::new(), ""),
        (format!("{live}\r\n"), ""),
        (format!("{live}\r\n"), "GET /"),
        (format!("{live}transfer-encoding: chunked\r\n\r\n5\r\na"), ""),
        (format!("{live}transfer-encoding: chunked\r\n\r\n5;"), "x"),
    ] {
        holders.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(first.as_bytes()).await.unwrap();
            if !then.is_empty() {
                let mut head = [0; 64];
                stream.read_exact(&mut head).await.unwrap();
                stream.write_all(then.as_bytes()).await.unwrap();
            }
            let mut rest = Vec::new();
            // Ended in order or by force: what matters is that it is.
            let ended = time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "{first:?} {then:?} was held");
        });
    }
    while let Some(one) = holders.join_next().await {
        one.unwrap();
    }
    // Who goes on asking is not ended: more requests than the time of quiet has room for.
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..30 {
        stream.write_all(format!("{live}\r\n").as_bytes()).await.unwrap();
        answer(&mut stream).await;
        time::sleep(Duration::from_millis(100)).await;
    }
    drop(stream);
    server.stop().await;
}

/// One answer whose body is an object without others in it.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let byte = time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap();
        answer.push(byte);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_about_to_end_asks_for_no_more_on_a_connection_that_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::new(Arc::new(SystemClock::new())));
    let platform = open_with(directory.path(), &health).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = Server::start(&platform, listener, ServerOptions::default()).unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let live = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(live).await.unwrap();
    let kept = answer(&mut stream).await;
    assert!(!kept.contains("connection: close"), "{kept}");
    health.drain();
    stream.write_all(live).await.unwrap();
    let mut last = String::new();
    let ended = time::timeout(PATIENCE, stream.read_to_string(&mut last)).await;
    assert!(ended.unwrap().is_ok(), "it is closed in order");
    assert!(
        last.starts_with("HTTP/1.1 200") && last.contains("connection: close\r\n"),
        "{last}"
    );
    server.stop().await;
}
