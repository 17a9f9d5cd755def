//! Where a request comes from: the client's address, as far as our own proxies vouch for it, and the request's id.

use std::net::{IpAddr, SocketAddr};

use actix_web::{HttpMessage as _, HttpRequest, http::header::HeaderMap, web::Data};
use ipnet::IpNet;
use postrider_application::access::Origin;

use crate::{ApiContext, request_id::RequestId};

/// Where proxies write down whom they forward for.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The most of our own proxies that a request may have passed.
pub(crate) const MAX_PROXIES: usize = 20;

/// Where `request` comes from.
pub(crate) fn origin(request: &HttpRequest) -> Origin {
    let trusted = request
        .app_data::<Data<ApiContext>>()
        .map_or(&[][..], |context| &context.trusted_proxies);
    Origin {
        address: request
            .peer_addr()
            .map(|peer| client(peer.ip(), request.headers(), trusted)),
        request_id: request.extensions().get::<RequestId>().map(RequestId::shared),
    }
}

/// The client's address: that of the peer, or, where the peer is a proxy of ours, what it says; and so on from the
/// right, as far as each entry was written by a proxy of ours. What stands further to the left is hearsay.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let ours = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    // Several headers are one list (RFC 9110, section 5.3).
    let mut entries: Vec<_> = headers
        .get_all(FORWARDED_FOR)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .collect();
    let mut address = peer.to_canonical();
    for _ in 0..MAX_PROXIES {
        if !ours(address) {
            break;
        }
        let Some(before) = entries.pop().and_then(parse) else {
            break;
        };
        address = before;
    }
    address
}

/// An entry: an address, perhaps with a port.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        // An IPv4 address in IPv6's clothes is the same client.
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                HeaderName::from_static(FORWARDED_FOR),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        headers
    }

    fn from(peer: &str, values: &[&[u8]]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8", "127.0.0.1/32"].map(|network| network.parse().unwrap());
        client(peer.parse().unwrap(), &headers(values), &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(from("203.0.113.9", &[b"198.51.100.1"]), "203.0.113.9");
        let nobody = client("10.0.0.1".parse().unwrap(), &headers(&[b"198.51.100.1"]), &[]);
        assert_eq!(nobody.to_string(), "10.0.0.1");
    }

    #[test]
    fn our_proxies_are_believed_from_the_right_and_no_further() {
        for (values, expected) in [
            (&[][..], "10.0.0.1"),
            (&[&b"198.51.100.1"[..]], "198.51.100.1"),
            // What the client wrote itself stands to the left of what the proxy added.
            (&[b"1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            (&[b"10.9.9.9, 198.51.100.1"], "198.51.100.1"),
            // Through several proxies of ours, in one header or in several.
            (&[b"198.51.100.1, 10.0.0.3 ,10.0.0.2"], "198.51.100.1"),
            (
                &[b"1.1.1.1", b"198.51.100.1,10.0.0.3", b"10.0.0.2"],
                "198.51.100.1",
            ),
            (&[b"2001:db8::1, fd00::7"], "2001:db8::1"),
            // Forms.
            (&[b"198.51.100.1:4711"], "198.51.100.1"),
            (&[b"[2001:db8::1]:4711"], "2001:db8::1"),
            (&[b"[2001:db8::1]"], "2001:db8::1"),
            (&[b"::ffff:198.51.100.1"], "198.51.100.1"),
            // All of them ours: the one furthest away.
            (&[b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            assert_eq!(from("10.0.0.1", values), expected, "{values:?}");
        }
        assert_eq!(from("::ffff:10.0.0.1", &[b"198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn what_cannot_be_read_stops_the_walk() {
        for values in [
            &[&b"198.51.100.1, nonsense"[..]],
            &[b"198.51.100.1, "],
            &[b"198.51.100.1, \xff"],
            &[b"unknown"],
            &[b"198.51.100.1 198.51.100.2"],
            &[b"999.1.1.1"],
        ] {
            assert_eq!(from("10.0.0.1", values), "10.0.0.1", "{values:?}");
        }
        assert_eq!(from("10.0.0.1", &[b"198.51.100.1, x, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn the_walk_is_bounded() {
        let ours = |count: usize| format!("198.51.100.1{}", ", 10.0.0.2".repeat(count));
        assert_eq!(from("10.0.0.1", &[ours(19).as_bytes()]), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &[ours(20).as_bytes()]), "10.0.0.2");
    }
}
