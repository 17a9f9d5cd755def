//! Hand-written receivers: what they answer is bytes, so that they can misbehave.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What a receiver does with each request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Writes these bytes and keeps the connection.
    Bytes(Vec<u8>),
    /// Writes these bytes, then closes.
    ThenClose(Vec<u8>),
    /// Writes these bytes, then one byte each 20 ms for ever.
    ThenDrip(Vec<u8>),
    /// Never answers.
    Silence,
}

impl Answer {
    pub(crate) fn status(line: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n").into_bytes())
    }

    pub(crate) fn with_body(line: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {line}\r\ncontent-length: {}\r\n\r\n", body.len());
        Self::Bytes([head.as_bytes(), body].concat())
    }
}

/// A receiver on a loopback port; it ends when dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut task = JoinSet::new();
        let (seen, served) = (Arc::clone(&connections), Arc::clone(&requests));
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, answer.clone(), Arc::clone(&served)));
            }
        });
        Self {
            address,
            connections,
            requests,
            _task: task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?token=t", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Reads one request with a `content-length` body; nothing at the connection's end.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = head_end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |value| value.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(bytes);
            }
        }
        let mut buffer = [0; 4_096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, served: Arc<AtomicUsize>) {
    while read_request(&mut stream).await.is_some() {
        served.fetch_add(1, Ordering::SeqCst);
        if reply(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}

async fn reply(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> std::io::Result<()> {
    match answer {
        Answer::Bytes(bytes) => stream.write_all(bytes).await,
        Answer::ThenClose(bytes) => {
            stream.write_all(bytes).await?;
            stream.shutdown().await?;
            Err(std::io::ErrorKind::ConnectionAborted.into())
        }
        Answer::ThenDrip(bytes) => {
            stream.write_all(bytes).await?;
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(b"x").await?;
            }
        }
        Answer::Silence => std::future::pending().await,
    }
}
