//! What is known about a request before anybody is asked who sent it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;
use steward_auth::Occasion;
use steward_base::{Origin, Random, hex};

/// The other end of the connection; `serve` puts it into every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
}

/// What every answer, log line and error of one request shares.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Accepted from `X-Request-Id` when it is sane, otherwise made here.
    pub request_id: Arc<str>,
    /// W3C trace id, accepted from `traceparent` or made here.
    pub trace_id: Arc<str>,
    /// This server's own span in that trace, 16 hexadecimal digits.
    pub span_id: Arc<str>,
    /// Client address and user agent.
    pub origin: Arc<Origin>,
    /// The path as it was sent, without the query.
    pub path: Arc<str>,
}

impl Arrival {
    /// Reads the headers of one request.
    pub(crate) fn read(headers: &HeaderMap, path: &str, peer: Option<Peer>, trusted: &[IpNet], random: &Random) -> Self {
        let trace_id = trace_parent(headers).unwrap_or_else(|| hex(&random.bytes::<16>()));
        let request_id = request_id(headers).unwrap_or_else(|| trace_id.clone());
        let user_agent =
            headers.get(http::header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(256).collect());
        let ip = peer.map(|peer| client_ip(headers, peer.address.ip(), trusted).to_string());
        Self {
            request_id: request_id.into(),
            trace_id: trace_id.into(),
            span_id: hex(&random.bytes::<8>()).into(),
            origin: Arc::new(Origin { ip, user_agent }),
            path: path.into(),
        }
    }

    /// What a context of this request keeps; `reason` is the operation's id.
    pub fn occasion(&self, reason: &str) -> Occasion {
        Occasion {
            reason: reason.into(),
            origin: Some(Arc::clone(&self.origin)),
            trace_id: Some(Arc::clone(&self.trace_id)),
            request_id: Some(Arc::clone(&self.request_id)),
        }
    }

    /// The `traceparent` to pass on and to answer with.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

/// `00-<trace id>-<parent id>-<flags>` (W3C Trace Context 1); anything else starts a new trace.
fn trace_parent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let known = digits(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    let given = digits(trace, 32) && digits(parent, 16) && digits(flags, 2);
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    (known && given && !zero(trace) && !zero(parent)).then(|| trace.to_owned())
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-request-id")?.to_str().ok()?;
    let sane = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    ((8..=128).contains(&text.len()) && text.bytes().all(sane)).then(|| text.to_owned())
}

/// The client's address: the rightmost one in `X-Forwarded-For` that no trusted proxy has, counted only when the peer is such a proxy.
fn client_ip(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let trusts = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let mut client = peer.to_canonical();
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !trusts(client) {
            break;
        }
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("a header value"))).collect()
    }

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        let sent = headers(&[("x-forwarded-for", "1.1.1.1, 9.9.9.9, 10.0.0.2")]);
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(client_ip(&sent, ip("8.8.8.8"), &trusted), ip("8.8.8.8"));
        assert_eq!(client_ip(&sent, ip("10.0.0.1"), &trusted), ip("9.9.9.9"));
        assert_eq!(client_ip(&sent, ip("::ffff:10.0.0.1"), &trusted), ip("9.9.9.9"));
        assert_eq!(client_ip(&sent, ip("10.0.0.1"), &[]), ip("10.0.0.1"));
    }

    #[test]
    fn traces_continue_only_when_well_formed() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_parent(&headers(&[("traceparent", good)])).expect("is read"), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in [
            "",
            "00-0-0-0",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert!(trace_parent(&headers(&[("traceparent", bad)])).is_none(), "{bad}");
        }
    }
}
