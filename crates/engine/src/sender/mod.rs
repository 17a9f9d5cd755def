//! Sending: a pooled HTTP client over rustls, through our own connector.

mod body;
mod connector;
mod executor;
mod resolve;
mod retry_after;
mod tls;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client},
    rt::TokioTimer,
};
use postrider_application::ports::{Clock, OutgoingRequest, Sender, Sent};
use postrider_domain::{
    deliveries::{CapturedBody, CapturedHeaders, FailureClass, Outcome},
    endpoints::{AddressPolicy, CustomHeaders},
};
use tokio::time;

use self::{
    connector::{ConnectError, Deadline, PolicyConnector},
    executor::TrackedExecutor,
    resolve::{Resolve, SystemResolver},
};
use crate::{CaptureHeaders, HttpOptions, OptionsError};

type HttpClient = Client<Deadline<HttpsConnector<PolicyConnector>>, Full<Bytes>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How often an HTTP/2 connection with open requests is asked whether it still lives, and how long it may take to
/// say so: a connection that fell silent would otherwise take every attempt to its host down with it.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(10);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a sender cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpSenderError {
    /// An option that cannot be worked with.
    #[error("the sender's options cannot be worked with")]
    Options(#[from] OptionsError),
    /// The system's name servers are not configured.
    #[error("the system's name resolution cannot be read")]
    Resolver(#[source] BoxError),
    /// An extra root certificate is not one.
    #[error("an extra root certificate cannot be used")]
    Certificate(#[source] BoxError),
}

impl HttpSenderError {
    fn resolver(cause: impl Into<BoxError>) -> Self {
        Self::Resolver(cause.into())
    }

    fn certificate(cause: impl Into<BoxError>) -> Self {
        Self::Certificate(cause.into())
    }
}

/// Sends webhooks with pooled connections, HTTP/2 where the receiver offers it by ALPN, else HTTP/1.1.
///
/// Follows no redirects and uses no proxy. Connects only where the address policy permits, judged on the very
/// address connected to, at every connect.
///
/// An attempt is delivered when a 2xx answer arrived *whole*, within the time-out: a receiver that breaks off or
/// drips until the deadline may have failed half-way, and is asked again ([`FailureClass::Body`],
/// [`FailureClass::TimeOut`]). A body longer than [`HttpOptions::max_response_read_bytes`] is not read to its end
/// and is no failure. Any other status is [`FailureClass::Status`], whatever becomes of its body.
///
/// The attempt's time-out is the one bound on everything after the handshake: a request that is not read, headers
/// that do not come, interim answers (1xx) without end and bodies that drip are all [`FailureClass::TimeOut`].
///
/// Names are resolved for every new connection; answers are remembered as long as their time to live allows, at most
/// five minutes. A connection in use stays with the address that it was made to.
///
/// Idle connections are bounded per host and in time, not in all: with many receivers, allow the process at least
/// `pool_max_idle_per_host` file descriptors for each host that is sent to within `pool_idle_timeout`.
pub struct HttpSender {
    client: HttpClient,
    executor: TrackedExecutor,
    clock: Arc<dyn Clock>,
    keep_bytes: usize,
    read_bytes: usize,
    capture_headers: CaptureHeaders,
}

impl HttpSender {
    /// A sender that connects where `policy` permits. Resolves names by the system's name servers and hosts file,
    /// which are read here. The clock is for receivers that say until when they want to be left alone.
    pub fn new(
        options: &HttpOptions,
        policy: AddressPolicy,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, HttpSenderError> {
        Self::with_resolver(options, policy, clock, Box::new(SystemResolver::new()?))
    }

    /// The addresses of a name, looked up as for a delivery; none if there are none or nobody answers. For who examines
    /// a machine.
    pub async fn look_up(name: &str) -> Result<Vec<std::net::IpAddr>, HttpSenderError> {
        Ok(SystemResolver::new()?.resolve(name).await)
    }

    fn with_resolver(
        options: &HttpOptions,
        policy: AddressPolicy,
        clock: Arc<dyn Clock>,
        resolver: Box<dyn Resolve>,
    ) -> Result<Self, HttpSenderError> {
        options.validate()?;
        let executor = TrackedExecutor::default();
        let tcp = PolicyConnector::new(policy, resolver, options.connect_timeout);
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(&options.extra_roots_pem)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        // As long again for the handshake as for name and connection together.
        let connector = Deadline::new(tls, options.connect_timeout * 2);
        let header_bytes = options.max_response_header_bytes;
        let client = Client::builder(executor.clone())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.pool_idle_timeout)
            .pool_max_idle_per_host(options.pool_max_idle_per_host)
            .http1_max_buf_size(header_bytes)
            .http1_max_headers(HttpOptions::MAX_RESPONSE_HEADERS)
            .http2_keep_alive_interval(HTTP2_PING_INTERVAL)
            .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT)
            .http2_max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
            .build(connector);
        Ok(Self {
            client,
            executor,
            clock,
            keep_bytes: options.max_response_body_bytes,
            read_bytes: options.max_response_read_bytes,
            capture_headers: options.capture_headers,
        })
    }

    /// Closes all connections and waits until their tasks have ended. Attempts still running fail.
    pub async fn close(&self) {
        self.executor.stop();
        self.executor.ended().await;
    }

    /// One exchange. What arrived before it broke or was dropped stays in `progress`.
    async fn exchange(&self, request: OutgoingRequest, progress: &mut Progress) -> Result<(), FailureClass> {
        let request = http_request(request).ok_or(FailureClass::Internal)?;
        let response = self.client.request(request).await.map_err(|error| {
            let class = class_of(&error);
            tracing::debug!(class = class.as_str(), "an attempt failed before its answer");
            class
        })?;
        progress.status = Some(response.status().as_u16());
        if !response.status().is_success() {
            progress.retry_after = retry_after::of(response.headers(), self.clock.now());
        }
        let (head, body) = response.into_parts();
        progress.headers = head.headers;
        body::read(body, &mut progress.body, self.keep_bytes, self.read_bytes)
            .await
            .map_err(|_| FailureClass::Body)
    }
}

impl Drop for HttpSender {
    fn drop(&mut self) {
        self.executor.stop();
    }
}

#[derive(Default)]
struct Progress {
    status: Option<u16>,
    retry_after: Option<Duration>,
    body: CapturedBody,
    headers: HeaderMap,
}

#[async_trait]
impl Sender for HttpSender {
    async fn send(&self, request: OutgoingRequest) -> Sent {
        let mut progress = Progress::default();
        let ended = time::timeout(request.timeout, self.exchange(request, &mut progress)).await;
        let fault = match ended {
            Ok(Ok(())) => None,
            Ok(Err(class)) => Some(class),
            Err(_) => Some(FailureClass::TimeOut),
        };
        let outcome = match (progress.status.map(Outcome::of_status), fault) {
            // The receiver said no, or it said yes and we heard it to the end.
            (Some(outcome @ Outcome::Failed { .. }), _) | (Some(outcome), None) => outcome,
            (Some(Outcome::Delivered { status }), Some(class)) => Outcome::Failed {
                class,
                status: Some(status),
            },
            // Without a status there is always a fault: an exchange only succeeds through an answer.
            (None, fault) => Outcome::Failed {
                class: fault.unwrap_or(FailureClass::Internal),
                status: None,
            },
        };
        let failed = matches!(outcome, Outcome::Failed { .. });
        let mut response_body = progress.body;
        if self.capture_headers == CaptureHeaders::All
            || (failed && self.capture_headers == CaptureHeaders::Failed)
        {
            let headers = progress.headers.iter();
            let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
            response_body.headers = CapturedHeaders::capture(headers);
        }
        Sent {
            outcome,
            retry_after: progress.retry_after,
            response_body,
        }
    }
}

/// Nothing if a stored value cannot be said in HTTP.
fn http_request(request: OutgoingRequest) -> Option<Request<Full<Bytes>>> {
    let uri: Uri = request.url.as_str().parse().ok()?;
    // The client adds one (`host`); growing would copy all of them.
    let custom = request.custom_headers.as_deref().map(CustomHeaders::all);
    let count = request.headers.len() + custom.map_or(0, BTreeMap::len);
    let mut headers = HeaderMap::with_capacity(count + 1);
    for (name, value) in request.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).ok()?);
    }
    for (name, value) in custom.into_iter().flatten() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        let mut sent = HeaderValue::from_str(value.expose()).ok()?;
        // Never in the tables of header compression, nor in anybody's debug output.
        sent.set_sensitive(value.is_secret());
        // What Postrider says of itself stands: no custom name is among it.
        headers.entry(name).or_insert(sent);
    }
    let mut http = Request::post(uri)
        .body(Full::new(Bytes::from_owner(request.body)))
        .ok()?;
    *http.headers_mut() = headers;
    Some(http)
}

/// Where an exchange without an answer failed.
fn class_of(error: &legacy::Error) -> FailureClass {
    if !error.is_connect() {
        return FailureClass::Body;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if let Some(connect) = next.downcast_ref::<ConnectError>() {
            return connect.class();
        }
        cause = next.source();
    }
    // Our connector explains its failures; what else fails while connecting is the handshake above it.
    FailureClass::Tls
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use postrider_domain::endpoints::EndpointUrl;

    fn outgoing(body: &Arc<[u8]>) -> OutgoingRequest {
        OutgoingRequest {
            url: EndpointUrl::parse("https://receiver.example/hook?a=b").unwrap(),
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("webhook-id", "msg_1".to_owned()),
            ],
            custom_headers: None,
            body: Arc::clone(body),
            timeout: Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn the_payload_is_shared_by_all_requests_and_never_copied() {
        let payload: Arc<[u8]> = Arc::from(*br#"{"a":1}"#);
        for _ in 0..2 {
            let mut request = http_request(outgoing(&payload)).unwrap();
            let frame = request.body_mut().frame().await.unwrap().unwrap();
            let bytes = frame.into_data().unwrap();
            assert_eq!((bytes.as_ptr(), bytes.len()), (payload.as_ptr(), payload.len()));
        }
        assert_eq!(Arc::strong_count(&payload), 1, "and let go of afterwards");
    }

    #[tokio::test]
    async fn there_is_room_for_the_header_that_the_client_adds() {
        let request = http_request(outgoing(&Arc::from(*b"{}"))).unwrap();
        assert!(request.headers().capacity() > request.headers().len());
    }

    #[test]
    fn custom_headers_are_sent_besides_and_secret_ones_are_marked() {
        use postrider_domain::endpoints::{HeaderName as Name, HeaderValue as Value};
        let header = |name: &str, value: &str, secret| {
            (Name::parse(name).unwrap(), Value::parse(value, secret).unwrap())
        };
        let custom = [
            header("Authorization", "Bearer hunter2", true),
            header("x-a", "1", false),
        ];
        let custom = CustomHeaders::new(BTreeMap::from(custom)).unwrap();
        let outgoing = OutgoingRequest {
            custom_headers: Some(Arc::new(custom)),
            ..outgoing(&Arc::from(*b"{}"))
        };
        assert!(!format!("{outgoing:?}").contains("hunter2"));
        let request = http_request(outgoing).unwrap();
        let headers = request.headers();
        assert_eq!(headers["authorization"], "Bearer hunter2");
        assert!(headers["authorization"].is_sensitive() && !headers["x-a"].is_sensitive());
        assert_eq!((headers["x-a"].as_bytes(), headers.len()), (&b"1"[..], 4));
        assert!(
            headers.capacity() > headers.len(),
            "and there is room for one more"
        );
    }

    #[test]
    fn a_stored_value_that_cannot_be_said_in_http_is_not_sent() {
        let mut request = outgoing(&Arc::from(*b"{}"));
        request
            .headers
            .push(("webhook-signature", "v1,a\r\nx: y".to_owned()));
        assert!(http_request(request).is_none());
    }
}
