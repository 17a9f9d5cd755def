//! The sender over TLS: whom it trusts, and what it speaks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's own steps fail by panicking"
)]

#[path = "support/receiver.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod receiver;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use postrider_application::ports::{OutgoingRequest, Sender as _};
use postrider_domain::{
    deliveries::{FailureClass, Outcome},
    endpoints::{AddressPolicy, EndpointUrl},
};
use postrider_engine::{HttpOptions, HttpSender};
use postrider_testkit::memory::TestClock;
use receiver::{Answer, Receiver};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// A receiver with a certificate of its own for `localhost`, which offers `protocols`.
struct TlsReceiver {
    address: SocketAddr,
    certificate_pem: String,
    connections: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let version = request.version();
    let authority = request.uri().authority().is_some() || request.headers().contains_key("host");
    let body = request.into_body().collect().await?.to_bytes();
    let status = match (version, &body[..], authority) {
        (_, b"silence", _) => std::future::pending().await,
        (Version::HTTP_2, b"{}" | b"huge headers", true) => 202,
        (Version::HTTP_11, b"{}", true) => 201,
        _ => 500,
    };
    let mut response = Response::new(Empty::new());
    if &body[..] == b"huge headers" {
        let value = http::HeaderValue::from_str(&"a".repeat(10_000)).unwrap();
        let names = (0..10).map(|n| http::HeaderName::try_from(format!("x-{n}")).unwrap());
        response
            .headers_mut()
            .extend(names.map(|name| (name, value.clone())));
    }
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    Ok(response)
}

impl TlsReceiver {
    async fn start(protocols: &[&[u8]]) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&connections);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                open.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    seen.fetch_add(1, Ordering::SeqCst);
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server
                        .serve_connection(TokioIo::new(stream), service_fn(answer))
                        .await;
                });
            }
        });
        Self {
            address,
            certificate_pem: made.cert.pem(),
            connections,
            _task: task,
        }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/hook", self.address.port())
    }
}

fn sender(options: &HttpOptions) -> HttpSender {
    let loopback = AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()]);
    HttpSender::new(options, loopback, Arc::new(TestClock::new())).unwrap()
}

fn trusting(receiver: &TlsReceiver) -> HttpSender {
    sender(&HttpOptions {
        extra_roots_pem: receiver.certificate_pem.clone().into_bytes(),
        ..HttpOptions::default()
    })
}

fn request(url: &str, body: &[u8], timeout: Duration) -> OutgoingRequest {
    OutgoingRequest {
        url: EndpointUrl::parse(url).unwrap(),
        headers: Vec::new(),
        custom_headers: None,
        body: Arc::from(body),
        timeout,
    }
}

async fn send(sender: &HttpSender, url: &str) -> Outcome {
    let request = request(url, b"{}", Duration::from_secs(5));
    sender.send(request).await.outcome
}

const fn failed(class: FailureClass) -> Outcome {
    Outcome::Failed { class, status: None }
}

const HANDSHAKE_FAILED: Outcome = failed(FailureClass::Tls);

#[tokio::test]
async fn a_trusted_certificate_and_http_2_on_one_connection() {
    let receiver = TlsReceiver::start(&[b"h2", b"http/1.1"]).await;
    let sender = trusting(&receiver);
    for _ in 0..3 {
        assert_eq!(
            send(&sender, &receiver.url("localhost")).await,
            Outcome::Delivered { status: 202 }
        );
    }
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn many_requests_at_once_share_the_http_2_connection() {
    let receiver = TlsReceiver::start(&[b"h2", b"http/1.1"]).await;
    let (sender, url) = (trusting(&receiver), receiver.url("localhost"));
    assert_eq!(send(&sender, &url).await, Outcome::Delivered { status: 202 });
    let many = (0..300).map(|_| send(&sender, &url));
    for outcome in futures_util::future::join_all(many).await {
        assert_eq!(outcome, Outcome::Delivered { status: 202 });
    }
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_burst_before_anybody_knows_that_it_is_http_2_is_delivered_whole() {
    let receiver = TlsReceiver::start(&[b"h2", b"http/1.1"]).await;
    let (sender, url) = (trusting(&receiver), receiver.url("localhost"));
    let burst = (0..50).map(|_| send(&sender, &url));
    for outcome in futures_util::future::join_all(burst).await {
        assert_eq!(outcome, Outcome::Delivered { status: 202 });
    }
}

#[tokio::test]
async fn over_http_2_one_that_hangs_ends_at_its_deadline_and_takes_no_other_with_it() {
    let receiver = TlsReceiver::start(&[b"h2"]).await;
    let (sender, url) = (trusting(&receiver), receiver.url("localhost"));
    assert_eq!(send(&sender, &url).await, Outcome::Delivered { status: 202 });
    let hanging = sender.send(request(&url, b"silence", Duration::from_millis(300)));
    let (hung, other) = tokio::join!(hanging, send(&sender, &url));
    assert_eq!(hung.outcome, failed(FailureClass::TimeOut));
    assert_eq!(other, Outcome::Delivered { status: 202 });
    assert_eq!(send(&sender, &url).await, Outcome::Delivered { status: 202 });
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn huge_headers_over_http_2_are_refused() {
    let receiver = TlsReceiver::start(&[b"h2"]).await;
    let (sender, url) = (trusting(&receiver), receiver.url("localhost"));
    let sent = sender
        .send(request(&url, b"huge headers", Duration::from_secs(5)))
        .await;
    assert_eq!(sent.outcome, failed(FailureClass::Body));
}

#[tokio::test]
async fn http_1_where_nothing_else_is_offered() {
    let receiver = TlsReceiver::start(&[b"http/1.1"]).await;
    let sender = trusting(&receiver);
    assert_eq!(
        send(&sender, &receiver.url("localhost")).await,
        Outcome::Delivered { status: 201 }
    );
}

#[tokio::test]
async fn an_unknown_issuer_or_another_name_is_not_trusted() {
    let receiver = TlsReceiver::start(&[b"http/1.1"]).await;
    let suspicious = sender(&HttpOptions::default());
    assert_eq!(
        send(&suspicious, &receiver.url("localhost")).await,
        HANDSHAKE_FAILED
    );
    // The certificate is for the name, not for the address.
    assert_eq!(
        send(&trusting(&receiver), &receiver.url("127.0.0.1")).await,
        HANDSHAKE_FAILED
    );
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let refuse = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        // The answer must arrive before the connection is reset for what was not read.
        stream.read_u8().await.unwrap();
    };
    let sender = sender(&HttpOptions::default());
    let (outcome, ()) = tokio::join!(send(&sender, &url), refuse);
    assert_eq!(outcome, HANDSHAKE_FAILED);
}

#[tokio::test]
async fn a_handshake_that_never_ends() {
    let silent = Receiver::start(Answer::Silence).await;
    let impatient = sender(&HttpOptions {
        connect_timeout: Duration::from_secs(1),
        ..HttpOptions::default()
    });
    let url = format!("https://{}/", silent.address);
    assert_eq!(send(&impatient, &url).await, HANDSHAKE_FAILED);
}
