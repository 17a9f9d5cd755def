//! Our own connector: the one place where outgoing connections begin, and so where the address policy holds.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use http::Uri;
use hyper_util::rt::TokioIo;
use postrider_domain::{deliveries::FailureClass, endpoints::AddressPolicy};
use tokio::{net::TcpStream, time};
use tower_service::Service;

use super::resolve::Resolve;
use crate::HttpOptions;

/// How long an address is tried alone before the next one is tried beside it (RFC 8305 recommends 250 ms).
const STAGGER: Duration = Duration::from_millis(250);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Why there is no connection. Names no address: what a name resolves to inside of our network is not for tenants.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The URL names no host or an unusable port.
    #[error("the URL cannot be connected to")]
    Url,
    /// The name has no addresses, or nobody said so in time.
    #[error("the name did not resolve")]
    Dns,
    /// It has, but none that the policy permits.
    #[error("the address policy permits none of the name's addresses")]
    Policy,
    /// Permitted ones were tried; none answered.
    #[error("no connection")]
    Refused(#[source] io::Error),
    /// Permitted ones were tried; none answered in time.
    #[error("no connection in time")]
    TimedOut,
    /// There is a connection, but the TLS handshake did not end in time.
    #[error("the TLS handshake did not end in time")]
    TlsTimedOut,
}

impl ConnectError {
    /// Where the attempt failed.
    pub(crate) const fn class(&self) -> FailureClass {
        match self {
            Self::Url => FailureClass::Internal,
            Self::Dns => FailureClass::Dns,
            Self::Policy => FailureClass::Policy,
            Self::Refused(_) | Self::TimedOut => FailureClass::Connect,
            Self::TlsTimedOut => FailureClass::Tls,
        }
    }
}

/// Connects to permitted addresses only: the policy judges every address that the name resolves to, at every
/// connect, and exactly the judged address is connected to, so that a name that changes its mind (DNS rebinding)
/// gains nothing.
#[derive(Clone)]
pub(crate) struct PolicyConnector {
    shared: Arc<Shared>,
}

struct Shared {
    policy: AddressPolicy,
    resolver: Box<dyn Resolve>,
    timeout: Duration,
}

impl PolicyConnector {
    /// Connects within `timeout`, name look-up included.
    pub(crate) fn new(policy: AddressPolicy, resolver: Box<dyn Resolve>, timeout: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                policy,
                resolver,
                timeout,
            }),
        }
    }
}

impl Service<Uri> for PolicyConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = BoxFuture<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Shared {
    async fn connect(&self, uri: &Uri) -> Result<TcpStream, ConnectError> {
        let (host, port) = host_and_port(uri)?;
        let mut resolved = false;
        let connecting = async {
            let addresses = self.permitted_addresses(host).await?;
            resolved = true;
            race(
                addresses
                    .into_iter()
                    .map(|ip| SocketAddr::new(ip, port))
                    .collect(),
            )
            .await
            .map_err(ConnectError::Refused)
        };
        match time::timeout(self.timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) if resolved => Err(ConnectError::TimedOut),
            Err(_) => Err(ConnectError::Dns),
        }
    }

    async fn permitted_addresses(&self, host: &str) -> Result<Vec<IpAddr>, ConnectError> {
        let mut addresses = match host.parse() {
            Ok(literal) => vec![literal],
            Err(_) => self.resolver.resolve(host).await,
        };
        if addresses.is_empty() {
            return Err(ConnectError::Dns);
        }
        addresses.retain(|address| self.policy.permits(*address));
        if addresses.is_empty() {
            return Err(ConnectError::Policy);
        }
        Ok(interleave(addresses))
    }
}

fn host_and_port(uri: &Uri) -> Result<(&str, u16), ConnectError> {
    let host = uri.host().ok_or(ConnectError::Url)?;
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("https")) => 443,
        (None, Some("http")) => 80,
        (None, _) => return Err(ConnectError::Url),
    };
    Ok((host, port))
}

/// IPv6 and IPv4 in turn, at most [`HttpOptions::MAX_ADDRESSES`], so that a family that leads nowhere costs little.
fn interleave(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (v6, v4): (VecDeque<IpAddr>, VecDeque<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let mut families = [v6, v4];
    let mut ordered = Vec::new();
    while ordered.len() < HttpOptions::MAX_ADDRESSES && families.iter().any(|family| !family.is_empty()) {
        ordered.extend(families.iter_mut().filter_map(VecDeque::pop_front));
    }
    ordered.truncate(HttpOptions::MAX_ADDRESSES);
    ordered
}

/// The first connection that comes about. The next address is tried as soon as one fails, or beside it if it takes
/// long. Fails with the last error when all have failed; the caller bounds the time.
async fn race(addresses: VecDeque<SocketAddr>) -> io::Result<TcpStream> {
    let mut untried = addresses;
    let mut running = FuturesUnordered::new();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = untried.pop_front() {
            running.push(TcpStream::connect(address));
        }
        tokio::select! {
            ended = running.next() => match ended {
                Some(Ok(stream)) => {
                    // Requests are written whole; waiting for more bytes to fill a packet only adds latency.
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Some(Err(error)) => last_error = error,
                None => return Err(last_error),
            },
            () = time::sleep(STAGGER), if !untried.is_empty() => {}
        }
    }
}

/// Bounds what the inner connector takes: beneath the client, a connection that lost its request goes on being made
/// in the background, where no attempt's deadline sees it.
#[derive(Clone)]
pub(crate) struct Deadline<C> {
    inner: C,
    timeout: Duration,
}

impl<C> Deadline<C> {
    /// `inner`, within `timeout`. The inner connector bounds its own part, so what runs out here is the handshake.
    pub(crate) const fn new(inner: C, timeout: Duration) -> Self {
        Self { inner, timeout }
    }
}

impl<C> Service<Uri> for Deadline<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
    C::Response: 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = time::timeout(self.timeout, self.inner.call(uri));
        Box::pin(async move {
            connecting
                .await
                .unwrap_or_else(|_| Err(ConnectError::TlsTimedOut.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::{net::Ipv4Addr, sync::Mutex};
    use tokio::net::TcpListener;

    struct Fixed(Vec<&'static str>);

    #[async_trait]
    impl Resolve for Fixed {
        async fn resolve(&self, _: &str) -> Vec<IpAddr> {
            self.0.iter().map(|text| text.parse().unwrap()).collect()
        }
    }

    struct Silent;

    #[async_trait]
    impl Resolve for Silent {
        async fn resolve(&self, _: &str) -> Vec<IpAddr> {
            std::future::pending().await
        }
    }

    fn connector(policy: AddressPolicy, resolver: impl Resolve + 'static) -> PolicyConnector {
        PolicyConnector::new(policy, Box::new(resolver), Duration::from_secs(2))
    }

    async fn class_of(mut connector: PolicyConnector, uri: &str) -> FailureClass {
        connector.call(uri.parse().unwrap()).await.unwrap_err().class()
    }

    fn loopback() -> AddressPolicy {
        AddressPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap()])
    }

    #[tokio::test]
    async fn a_name_that_resolves_inside_is_refused() {
        for inside in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "::1",
            "::ffff:127.0.0.1",
            "fd00::1",
        ] {
            let connector = connector(AddressPolicy::public_only(), Fixed(vec![inside]));
            assert_eq!(
                class_of(connector, "http://rebound.example/").await,
                FailureClass::Policy,
                "{inside}"
            );
        }
    }

    /// Says another address each time, the last first.
    struct ChangesItsMind(Mutex<Vec<&'static str>>);

    #[async_trait]
    impl Resolve for ChangesItsMind {
        async fn resolve(&self, _: &str) -> Vec<IpAddr> {
            let said = self.0.lock().unwrap().pop().unwrap();
            vec![said.parse().unwrap()]
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_anew_at_every_connect_and_what_was_judged_is_connected_to() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let policy = AddressPolicy::allowing(vec!["127.0.0.1/32".parse().unwrap()]);
        // Were it asked twice for one connect, or what it said first remembered, it would show.
        let names = ChangesItsMind(Mutex::new(vec!["127.0.0.2", "127.0.0.1"]));
        let mut connector = connector(policy, names);
        let uri = format!("http://rebound.example:{}/", address.port());
        let stream = connector.call(uri.parse().unwrap()).await.unwrap();
        assert_eq!(stream.inner().peer_addr().unwrap(), address);
        assert_eq!(class_of(connector, &uri).await, FailureClass::Policy);
    }

    #[tokio::test]
    async fn literal_addresses_are_judged_too() {
        for inside in [
            "http://127.0.0.1/",
            "https://[::1]/",
            "http://[::ffff:127.0.0.1]:9/",
            "http://10.1.1.1:9/",
        ] {
            let connector = connector(AddressPolicy::public_only(), Fixed(vec!["93.184.216.34"]));
            assert_eq!(
                class_of(connector, inside).await,
                FailureClass::Policy,
                "{inside}"
            );
        }
    }

    #[tokio::test]
    async fn only_the_permitted_ones_of_several_addresses_are_connected_to() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut connector = connector(loopback(), Fixed(vec!["10.0.0.1", "::1", "127.0.0.1"]));
        let stream = connector
            .call(format!("http://mixed.example:{port}/").parse().unwrap())
            .await
            .unwrap();
        assert_eq!(
            stream.inner().peer_addr().unwrap(),
            listener.local_addr().unwrap()
        );
        assert!(stream.inner().nodelay().unwrap());
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Nothing listens on 127.0.0.2 at this port.
        let mut connector = connector(loopback(), Fixed(vec!["127.0.0.2", "127.0.0.1"]));
        assert!(
            connector
                .call(format!("http://two.example:{port}/").parse().unwrap())
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn nothing_listens() {
        // It holds its port, so that nobody else is given it, and does not listen.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = held.local_addr().unwrap().port();
        let connector = connector(loopback(), Fixed(vec!["127.0.0.1"]));
        assert_eq!(
            class_of(connector, &format!("http://gone.example:{port}/")).await,
            FailureClass::Connect
        );
    }

    #[tokio::test(start_paused = true)]
    async fn names_without_addresses_and_silent_name_servers_are_dns_failures() {
        assert_eq!(
            class_of(connector(loopback(), Fixed(vec![])), "http://no.example/").await,
            FailureClass::Dns
        );
        assert_eq!(
            class_of(connector(loopback(), Silent), "http://slow.example/").await,
            FailureClass::Dns
        );
    }

    #[test]
    fn families_take_turns_and_are_bounded() {
        let addresses: Vec<IpAddr> = ["1.1.1.1", "1.1.1.2", "1.1.1.3", "2606::1"]
            .iter()
            .map(|a| a.parse().unwrap())
            .collect();
        let ordered: Vec<String> = interleave(addresses).iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["2606::1", "1.1.1.1", "1.1.1.2", "1.1.1.3"]);
        let many = (0..1_000u32).map(|n| IpAddr::V4(Ipv4Addr::from(n))).collect();
        assert_eq!(interleave(many).len(), HttpOptions::MAX_ADDRESSES);
    }

    #[test]
    fn errors_name_no_address() {
        for error in [
            ConnectError::Url,
            ConnectError::Dns,
            ConnectError::Policy,
            ConnectError::Refused(io::Error::other("10.1.2.3 refused")),
            ConnectError::TimedOut,
            ConnectError::TlsTimedOut,
        ] {
            let text = error.to_string();
            assert!(!text.chars().any(|c| c.is_ascii_digit()), "{text}");
        }
    }
}
