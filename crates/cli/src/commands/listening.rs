//! The API's address, from the start on; its clients, once it can answer them.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use tokio::net::TcpSocket;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Takes the address, but lets nobody in yet: until this node can answer, whoever comes is told at once that nobody is
/// there.
///
/// It is taken for this process alone, so that another one that starts at the same time learns of it now and not after it has
/// touched the database. Only where the last one has left connections that are not quite gone (or whose port is taken, which
/// the second try tells) it is shared with those.
pub(super) fn reserve(address: SocketAddr) -> Result<TcpSocket, String> {
    let taken = match bound(address, false) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bound(address, true),
        other => other,
    };
    taken.map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Lets clients in.
pub(super) fn open(socket: TcpSocket) -> io::Result<TcpListener> {
    // What is left of its connections must not keep the next process from the address.
    socket.set_reuseaddr(true)?;
    socket.listen(BACKLOG)?.into_std()
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(shared)?;
    socket.bind(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn an_address_is_taken_before_anybody_is_let_in() {
        let first = reserve("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        assert!(reserve(address).is_err(), "another one that starts beside it");
        assert!(TcpListener::bind(address).is_err(), "any other program");
        let refused = std::net::TcpStream::connect(address);
        assert!(refused.is_err(), "nobody is let in yet");
        let listener = open(first).unwrap();
        assert!(reserve(address).is_err());
        // The side that closes first keeps the rest of the connection.
        let mut client = std::net::TcpStream::connect(address).unwrap();
        drop(listener.accept().unwrap());
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        drop((client, listener));
        open(reserve(address).unwrap()).unwrap();
    }
}
