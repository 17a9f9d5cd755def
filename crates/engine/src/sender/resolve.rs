use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use hickory_resolver::{TokioResolver, config::LookupIpStrategy};

use super::HttpSenderError;

/// How long a name server may take before the next one is asked.
const NAME_SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// Answers kept, whatever their time to live allows.
const CACHED_ANSWERS: u64 = 4_096;
/// An address is asked for again after this time at the latest, so that a moved receiver is found.
const LONGEST_CACHED: Duration = Duration::from_mins(5);
/// The same for "there is no such name": whoever just created it should not wait.
const LONGEST_CACHED_ABSENCE: Duration = Duration::from_secs(5);

/// Turns a host name into addresses. Which of them may be connected to is not decided here.
#[async_trait]
pub(crate) trait Resolve: Send + Sync {
    /// The addresses of `host`; none if there are none, the name does not exist, or nobody answers.
    async fn resolve(&self, host: &str) -> Vec<IpAddr>;
}

/// The system's name servers and hosts file, asked asynchronously.
///
/// Not `getaddrinfo`: it blocks a thread that nothing can call back, so that a tenant with silent name servers
/// could use up the threads of everybody else.
pub(crate) struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// Reads the system's configuration. Fails if there is none.
    pub(crate) fn new() -> Result<Self, HttpSenderError> {
        let mut builder = TokioResolver::builder_tokio().map_err(HttpSenderError::resolver)?;
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = NAME_SERVER_TIMEOUT;
        options.cache_size = CACHED_ANSWERS;
        options.positive_max_ttl = Some(LONGEST_CACHED);
        options.negative_max_ttl = Some(LONGEST_CACHED_ABSENCE);
        Ok(Self(builder.build().map_err(HttpSenderError::resolver)?))
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> Vec<IpAddr> {
        match self.0.lookup_ip(host).await {
            Ok(found) => found.iter().collect(),
            Err(error) => {
                tracing::debug!(%error, "a name did not resolve");
                Vec::new()
            }
        }
    }
}
