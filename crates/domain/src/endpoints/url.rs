use std::{fmt, net::IpAddr, sync::Arc};

use url::{Host, Url};

use super::AddressPolicy;
use crate::{InvalidValue, Rule};

/// Where a webhook is sent: an absolute `http` or `https` URL without credentials and fragment. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl(Arc<Url>);

impl EndpointUrl {
    /// The most bytes of a URL.
    pub const MAX_BYTES: usize = 2_048;

    /// Parses and normalises a URL.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() {
            return Err(InvalidValue::new(Rule::Required, "must not be empty"));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidValue::new(Rule::TooLong, "must be at most 2048 bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidValue::new(
                Rule::Charset,
                "must not contain white space or control characters",
            ));
        }
        let url = Url::parse(text).map_err(|_| InvalidValue::new(Rule::Format, "must be an absolute URL"))?;
        let refuse = |message: &str| Err(InvalidValue::new(Rule::Format, message));
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("must be an http or https URL");
        }
        if url.host_str().is_none_or(str::is_empty) {
            return refuse("must name a host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("must not contain credentials");
        }
        if url.fragment().is_some() {
            return refuse("must not contain a fragment");
        }
        if url.port() == Some(0) {
            return refuse("must not name port 0");
        }
        if let Some(Host::Domain(name)) = url.host() {
            check_host_name(name)?;
        }
        // Normalising (percent-encoding, punycode) can lengthen it, and the normal form is what is stored.
        if url.as_str().len() > Self::MAX_BYTES {
            return Err(InvalidValue::new(
                Rule::TooLong,
                "must be at most 2048 bytes, percent-encoded",
            ));
        }
        Ok(Self(Arc::new(url)))
    }

    /// A URL as it was stored. The rules were checked when it was accepted; one that was tightened since must not
    /// make a stored endpoint unreadable.
    pub fn restore(text: &str) -> Result<Self, InvalidValue> {
        let url = Url::parse(text).map_err(|_| InvalidValue::new(Rule::Format, "must be an absolute URL"))?;
        Ok(Self(Arc::new(url)))
    }

    /// Refuses at the door what could never be delivered: a literal address that `policy` does not permit, or a
    /// name that always means this machine. Names are checked again, after DNS, at every connect.
    pub fn check_address(&self, policy: &AddressPolicy) -> Result<(), InvalidValue> {
        let permitted = match self.0.host() {
            Some(Host::Ipv4(ip)) => policy.permits(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => policy.permits(IpAddr::V6(ip)),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let local = name == "localhost" || name.ends_with(".localhost");
                !local || policy.permits(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
            }
            None => false,
        };
        if permitted {
            Ok(())
        } else {
            Err(InvalidValue::new(
                Rule::AddressNotAllowed,
                "must not point to a private, loopback or otherwise reserved address",
            ))
        }
    }

    /// Whether both are of one origin: the same scheme, host and port.
    pub fn has_origin_of(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The normalised URL.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Refuses names that can never resolve (RFC 1035, section 2.3.4; underscores are seen in the wild).
fn check_host_name(name: &str) -> Result<(), InvalidValue> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(())
    } else {
        Err(InvalidValue::new(Rule::Format, "must name a host that can exist"))
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EndpointUrl {
    /// Host only: paths and queries of webhook URLs often hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EndpointUrl({}://{}/…)",
            self.0.scheme(),
            self.0.host_str().unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_http_and_https() {
        for good in [
            "https://example.com/hook?x=1",
            "http://example.com:8080",
            "https://[2606:4700::1]/",
            "https://bücher.example/",
        ] {
            assert!(EndpointUrl::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for bad in [
            "",
            "example.com",
            "/hook",
            "ftp://example.com",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://user@example.com",
            "https://user:pw@example.com",
            "https://example.com/#top",
            "https://exa mple.com",
            "https://example.com/\r\nHost: x",
            "https://",
            "http://example.com:0/",
        ] {
            assert!(EndpointUrl::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            EndpointUrl::parse(&format!("https://e.com/{}", "a".repeat(2_048)))
                .unwrap_err()
                .rule,
            Rule::TooLong
        );
    }

    #[test]
    fn literal_private_addresses_are_refused_in_every_spelling() {
        let policy = AddressPolicy::public_only();
        for bad in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://10.0.0.1/",
            "http://169.254.169.254/latest",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://0.0.0.0/",
        ] {
            let url = EndpointUrl::parse(bad).unwrap();
            assert_eq!(
                url.check_address(&policy).unwrap_err().rule,
                Rule::AddressNotAllowed,
                "{bad}"
            );
        }
        assert!(
            EndpointUrl::parse("https://example.com/")
                .unwrap()
                .check_address(&policy)
                .is_ok()
        );
    }

    #[test]
    fn hosts_that_cannot_exist_are_refused() {
        let (label, name) = ("a".repeat(64), vec!["a".repeat(49); 6].join("."));
        for bad in [
            "a..com",
            "*.com",
            ".com",
            "a!b.com",
            label.as_str(),
            name.as_str(),
        ] {
            assert!(EndpointUrl::parse(&format!("http://{bad}/")).is_err(), "{bad}");
        }
        assert!(EndpointUrl::parse("https://my_host.example.com./").is_ok());
    }

    #[test]
    fn the_normal_form_is_bounded() {
        let url = format!("http://example.com/{}", "é".repeat(1_000));
        assert!(
            url.len() <= EndpointUrl::MAX_BYTES,
            "short enough as it was typed"
        );
        assert_eq!(EndpointUrl::parse(&url).unwrap_err().rule, Rule::TooLong);
    }

    #[test]
    fn debug_shows_no_path() {
        let url = EndpointUrl::parse("https://example.com/T0K3N?key=s3cret").unwrap();
        assert!(!format!("{url:?}").contains("T0K3N"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = EndpointUrl::parse(&text);
        }

        #[test]
        fn what_was_accepted_is_accepted_again(text in "https?://[a-z0-9._é-]{1,80}/[^#\\s]{0,1200}") {
            if let Ok(url) = EndpointUrl::parse(&text) {
                prop_assert_eq!(EndpointUrl::parse(url.as_str()), Ok(url.clone()));
                prop_assert_eq!(EndpointUrl::restore(url.as_str()), Ok(url));
            }
        }
    }
}
