use std::net::Ipv4Addr;

use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    time,
};

use super::*;

/// A connection of `connections`: its ends, and what is known of it.
async fn connection(connections: &Connections) -> (TcpStream, TcpStream, Extensions) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (ours, _) = listener.accept().await.unwrap();
    let mut data = Extensions::new();
    connections.admit(&ours, &mut data);
    (client, ours, data)
}

#[tokio::test]
async fn at_the_end_who_reads_an_answer_is_let_go_and_who_waits_for_one_is_not() {
    let connections = Connections::default();
    let (mut reads, _ours, reading) = connection(&connections).await;
    let (mut waits, _others, waiting) = connection(&connections).await;
    let sent = UnderWay::begin(reading.get::<Arc<Connection>>().unwrap());
    let asked = Unanswered::begin(waiting.get::<Arc<Connection>>().unwrap());
    let mut byte = [0];
    tokio::select! {
        () = connections.let_go() => {}
        read = reads.read(&mut byte) => assert_eq!(read.unwrap(), 0),
    }
    let none = waits.try_read(&mut byte).map_err(|error| error.kind());
    assert_eq!(
        none,
        Err(std::io::ErrorKind::WouldBlock),
        "its answer is still to come"
    );
    drop((sent, asked));
    tokio::select! {
        () = connections.let_go() => {}
        read = time::timeout(TICK * 40, waits.read(&mut byte)) => assert_eq!(read.unwrap().unwrap(), 0),
    }
}
