//! The sender against real sockets: what receivers do wrong, and what is made of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

#[path = "support/receiver.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod receiver;

use std::{sync::Arc, time::Duration};

use postrider_application::ports::{OutgoingRequest, Sender as _, Sent};
use postrider_domain::{
    deliveries::{FailureClass, Outcome},
    endpoints::{AddressPolicy, EndpointUrl},
};
use postrider_engine::{HttpOptions, HttpSender, HttpSenderError};
use postrider_testkit::memory::TestClock;
use receiver::{Answer, Receiver};

fn loopback() -> AddressPolicy {
    AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()])
}

fn sending(options: &HttpOptions, policy: AddressPolicy) -> Result<HttpSender, HttpSenderError> {
    HttpSender::new(options, policy, Arc::new(TestClock::new()))
}

fn sender() -> HttpSender {
    sending(&HttpOptions::default(), loopback()).unwrap()
}

fn request(url: &str, timeout: Duration) -> OutgoingRequest {
    OutgoingRequest {
        url: EndpointUrl::parse(url).unwrap(),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", "msg_1".to_owned()),
        ],
        custom_headers: None,
        body: Arc::from(*br#"{"a":1}"#),
        timeout,
    }
}

async fn send_to(receiver: &Receiver) -> Sent {
    sender()
        .send(request(&receiver.url(), Duration::from_secs(5)))
        .await
}

const fn failed(class: FailureClass, status: Option<u16>) -> Outcome {
    Outcome::Failed { class, status }
}

#[tokio::test]
async fn any_2xx_is_delivered() {
    for (line, status) in [("204 No Content", 204), ("200 OK", 200), ("202 Accepted", 202)] {
        let receiver = Receiver::start(Answer::status(line)).await;
        assert_eq!(
            send_to(&receiver).await.outcome,
            Outcome::Delivered { status },
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_request_arrives_as_it_was_given() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a/b?c=d", listener.local_addr().unwrap());
    let receive = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let bytes = receiver::read_request(&mut stream).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let sender = sender();
    let (sent, text) = tokio::join!(sender.send(request(&url, Duration::from_secs(5))), receive);
    assert_eq!(sent.outcome, Outcome::Delivered { status: 204 });
    assert!(text.starts_with("POST /a/b?c=d HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("webhook-id: msg_1\r\n") && text.contains("content-type: application/json\r\n"));
    assert!(text.contains(&format!("host: {}\r\n", listener.local_addr().unwrap())));
    assert!(text.ends_with("\r\n\r\n{\"a\":1}"));
}

#[tokio::test]
async fn other_statuses_fail_and_keep_their_body() {
    let receiver = Receiver::start(Answer::with_body("500 Oh No", b"database on fire")).await;
    let sent = send_to(&receiver).await;
    assert_eq!(sent.outcome, failed(FailureClass::Status, Some(500)));
    assert_eq!(sent.response_body.bytes, b"database on fire");
    assert!(!sent.response_body.truncated);
}

/// What receivers ask for, and what is understood of it.
#[tokio::test]
async fn a_failed_answer_may_ask_for_a_pause() {
    const SECONDS: &str = "retry-after: 120";
    // The test's clock shows 2026-11-02T08:30:00Z.
    const DATE: &str = "retry-after: Mon, 02 Nov 2026 08:31:30 GMT";
    // By the receiver's own clock it is a minute later.
    const BOTH: &str = "date: Mon, 02 Nov 2026 08:31:00 GMT\r\nretry-after: Mon, 02 Nov 2026 08:31:30 GMT";
    for (line, headers, wait) in [
        ("429 Too Many Requests", SECONDS, Some(120)),
        ("503 Service Unavailable", DATE, Some(90)),
        ("503 Service Unavailable", BOTH, Some(30)),
        ("500 Oh No", SECONDS, Some(120)),
        ("302 Elsewhere", SECONDS, Some(120)),
        ("503 Service Unavailable", "retry-after: soon", None),
        ("503 Service Unavailable", "retry-after: -1", None),
        ("503 Service Unavailable", "x: y", None),
        ("200 OK", SECONDS, None),
    ] {
        let answer = format!("HTTP/1.1 {line}\r\n{headers}\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::start(Answer::Bytes(answer.into_bytes())).await;
        let sent = send_to(&receiver).await;
        assert_eq!(
            sent.retry_after,
            wait.map(Duration::from_secs),
            "{line}, {headers}"
        );
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Receiver::start(Answer::status("204 No Content")).await;
    let answer = format!(
        "HTTP/1.1 307 Elsewhere\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        target.url()
    );
    let receiver = Receiver::start(Answer::Bytes(answer.into_bytes())).await;
    assert_eq!(
        send_to(&receiver).await.outcome,
        failed(FailureClass::Status, Some(307))
    );
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn a_refused_connection() {
    // It holds its port, so that nobody else is given it, and does not listen.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = held.local_addr().unwrap();
    let sent = sender()
        .send(request(&format!("http://{address}/"), Duration::from_secs(5)))
        .await;
    assert_eq!(sent.outcome, failed(FailureClass::Connect, None));
}

#[tokio::test]
async fn a_connection_closed_before_the_answer() {
    let receiver = Receiver::start(Answer::ThenClose(Vec::new())).await;
    assert_eq!(send_to(&receiver).await.outcome, failed(FailureClass::Body, None));
}

#[tokio::test]
async fn what_is_not_http() {
    let receiver = Receiver::start(Answer::ThenClose(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())).await;
    assert_eq!(send_to(&receiver).await.outcome, failed(FailureClass::Body, None));
}

#[tokio::test]
async fn a_2xx_whose_body_breaks_off_is_not_delivered() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    let receiver = Receiver::start(Answer::ThenClose(half)).await;
    let sent = send_to(&receiver).await;
    assert_eq!(sent.outcome, failed(FailureClass::Body, Some(200)));
    assert_eq!(sent.response_body.bytes, b"half");
}

#[tokio::test]
async fn a_refusal_stays_one_when_its_body_breaks_off() {
    let half = b"HTTP/1.1 410 Gone\r\ncontent-length: 10\r\n\r\nhalf".to_vec();
    let receiver = Receiver::start(Answer::ThenClose(half)).await;
    assert_eq!(
        send_to(&receiver).await.outcome,
        failed(FailureClass::Status, Some(410))
    );
}

#[tokio::test]
async fn the_deadline_ends_a_dripping_body_slow_headers_and_silence() {
    let body = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n".to_vec();
    let headers = b"HTTP/1.1 200 OK\r\nx-slow: ".to_vec();
    for (answer, status) in [
        (Answer::ThenDrip(body), Some(200)),
        (Answer::ThenDrip(headers), None),
        (Answer::Silence, None),
    ] {
        let receiver = Receiver::start(answer).await;
        // If the deadline did not end it, nothing would: the guard turns hanging into a failure.
        let sending = request(&receiver.url(), Duration::from_millis(300));
        let sent = tokio::time::timeout(Duration::from_secs(10), sender().send(sending))
            .await
            .unwrap();
        assert_eq!(sent.outcome, failed(FailureClass::TimeOut, status));
        assert_eq!(
            sent.response_body.bytes.is_empty(),
            status.is_none(),
            "what arrived is kept"
        );
    }
}

#[tokio::test]
async fn the_deadline_ends_a_request_that_nobody_reads() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // More than any socket buffers.
    let sending = OutgoingRequest {
        body: Arc::from(vec![0; 64 << 20]),
        ..request(&url, Duration::from_millis(300))
    };
    let accepting = async {
        let (stream, _) = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(stream);
    };
    let sender = sender();
    let sent = tokio::select! {
        sent = tokio::time::timeout(Duration::from_secs(10), sender.send(sending)) => sent.unwrap(),
        () = accepting => unreachable!("it never ends"),
    };
    assert_eq!(sent.outcome, failed(FailureClass::TimeOut, None));
}

#[tokio::test]
async fn the_deadline_ends_endless_interim_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        receiver::read_request(&mut stream).await.unwrap();
        let early = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100);
        while tokio::io::AsyncWriteExt::write_all(&mut stream, &early)
            .await
            .is_ok()
        {}
    };
    let sender = sender();
    let sending = sender.send(request(&url, Duration::from_millis(300)));
    let (sent, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), sending), answering);
    assert_eq!(sent.unwrap().outcome, failed(FailureClass::TimeOut, None));
}

#[tokio::test]
async fn huge_headers_are_refused() {
    let huge = format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n",
        "a".repeat(200_000)
    );
    let many = "x: 1\r\n".repeat(500);
    let many = format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n");
    for answer in [huge, many] {
        let receiver = Receiver::start(Answer::Bytes(answer.into_bytes())).await;
        assert_eq!(send_to(&receiver).await.outcome, failed(FailureClass::Body, None));
    }
}

#[tokio::test]
async fn a_huge_body_is_capped_and_no_failure() {
    let receiver = Receiver::start(Answer::with_body("200 OK", &vec![b'a'; 3_000_000])).await;
    let sent = send_to(&receiver).await;
    assert_eq!(sent.outcome, Outcome::Delivered { status: 200 });
    assert_eq!(
        (sent.response_body.bytes.len(), sent.response_body.truncated),
        (16 * 1_024, true)
    );
}

#[tokio::test]
async fn an_endless_body_is_capped_too() {
    let endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let bounds = HttpOptions {
        max_response_body_bytes: 4,
        max_response_read_bytes: 8,
        ..HttpOptions::default()
    };
    let receiver = Receiver::start(Answer::ThenDrip(endless)).await;
    let sender = sending(&bounds, loopback()).unwrap();
    let sent = sender
        .send(request(&receiver.url(), Duration::from_secs(30)))
        .await;
    assert_eq!(sent.outcome, Outcome::Delivered { status: 200 });
    assert_eq!(sent.response_body.bytes, b"xxxx");
}

#[tokio::test]
async fn the_policy_forbids_loopback_by_any_name() {
    let receiver = Receiver::start(Answer::status("204 No Content")).await;
    let sender = sending(&HttpOptions::default(), AddressPolicy::public_only()).unwrap();
    let port = receiver.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "127.1",
    ] {
        let sent = sender
            .send(request(&format!("http://{host}:{port}/"), Duration::from_secs(5)))
            .await;
        assert_eq!(sent.outcome, failed(FailureClass::Policy, None), "{host}");
        assert!(sent.response_body.bytes.is_empty());
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn an_allowed_name_is_reached_through_the_hosts_file() {
    let receiver = Receiver::start(Answer::status("204 No Content")).await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    let sent = sender().send(request(&url, Duration::from_secs(5))).await;
    assert_eq!(sent.outcome, Outcome::Delivered { status: 204 });
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    // `.invalid` never exists (RFC 6761); the resolver answers without asking anybody.
    let sent = sender()
        .send(request("http://receiver.invalid/", Duration::from_secs(10)))
        .await;
    assert_eq!(sent.outcome, failed(FailureClass::Dns, None));
}

#[tokio::test]
async fn connections_are_used_again() {
    let receiver = Receiver::start(Answer::with_body("200 OK", b"thanks")).await;
    let sender = sender();
    for _ in 0..5 {
        let sent = sender
            .send(request(&receiver.url(), Duration::from_secs(5)))
            .await;
        assert_eq!(sent.outcome, Outcome::Delivered { status: 200 });
    }
    assert_eq!((receiver.requests(), receiver.connections()), (5, 1));
}

#[tokio::test]
async fn a_receiver_that_closes_after_each_answer_is_connected_to_again() {
    let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec();
    let receiver = Receiver::start(Answer::ThenClose(answer)).await;
    let sender = sender();
    for _ in 0..3 {
        let sent = sender
            .send(request(&receiver.url(), Duration::from_secs(5)))
            .await;
        assert_eq!(sent.outcome, Outcome::Delivered { status: 200 });
    }
    assert_eq!((receiver.requests(), receiver.connections()), (3, 3));
}

#[tokio::test]
async fn closing_leaves_no_task_behind() {
    let receiver = Receiver::start(Answer::status("204 No Content")).await;
    let sender = sender();
    let _ = sender
        .send(request(&receiver.url(), Duration::from_secs(5)))
        .await;
    tokio::time::timeout(Duration::from_secs(5), sender.close())
        .await
        .unwrap();
    let sent = sender
        .send(request(&receiver.url(), Duration::from_secs(5)))
        .await;
    assert!(
        matches!(sent.outcome, Outcome::Failed { status: None, .. }),
        "{:?}",
        sent.outcome
    );
}

#[tokio::test]
async fn unusable_options_are_refused() {
    let options = HttpOptions {
        max_response_header_bytes: 10,
        ..HttpOptions::default()
    };
    let refused = sending(&options, loopback()).err();
    assert!(
        matches!(refused, Some(HttpSenderError::Options(_))),
        "{refused:?}"
    );
}
