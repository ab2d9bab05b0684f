//! Entity tags: the version of a record in quotation marks (RFC 9110, section 8.8.3).

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};
use steward_base::{Error, ErrorKind};

/// What `If-Match` or `If-None-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// `*`: whatever the version is.
    Any,
    /// One of these versions; tags that are not versions match nothing.
    Versions(Vec<i64>),
}

impl Match {
    /// Whether `version` is named.
    pub fn includes(&self, version: i64) -> bool {
        match self {
            Match::Any => true,
            Match::Versions(versions) => versions.contains(&version),
        }
    }
}

/// The strong tag of `version`.
pub fn etag(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotation marks are a header value")
}

/// The precondition of a change: 428 `if_match_required` when absent, 400 `malformed_etag` when unreadable.
pub fn if_match(headers: &HeaderMap) -> Result<Match, Error> {
    let detail =
        "Send If-Match with the ETag that you last read, so that no change of another is lost; \"*\" overwrites whatever is there.";
    read(headers, &IF_MATCH, false)?.ok_or_else(|| Error::new(ErrorKind::PreconditionRequired, "if_match_required", detail))
}

/// What the client already has; `None` when it says nothing. Fails with 400 `malformed_etag`.
pub fn if_none_match(headers: &HeaderMap) -> Result<Option<Match>, Error> {
    read(headers, &IF_NONE_MATCH, true)
}

/// The error for a version that is no longer current.
pub fn stale(current: i64) -> Error {
    let detail = format!("The record has changed: its version is now \"{current}\". Read it again and repeat the change on what you find.");
    Error::new(ErrorKind::PreconditionFailed, "version_conflict", detail)
}

fn read(headers: &HeaderMap, name: &HeaderName, weak: bool) -> Result<Option<Match>, Error> {
    let malformed = || {
        let detail = format!("{name} is * or a list of tags such as \"3\", in quotation marks.");
        Error::new(ErrorKind::Malformed, "malformed_etag", detail).with_field(format!("/{name}"), "malformed_etag", "Not an entity tag.")
    };
    let mut versions = Vec::new();
    let mut seen = false;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| malformed())?.trim();
        if text.is_empty() {
            continue;
        }
        seen = true;
        for tag in text.split(',').map(str::trim) {
            if tag == "*" {
                return Ok(Some(Match::Any));
            }
            // If-None-Match compares weakly, so that a proxy that marks tags as weak does no harm; If-Match never matches a weak tag.
            let (strong, opaque) = match tag.strip_prefix("W/") {
                Some(rest) => (false, rest),
                None => (true, tag),
            };
            let inner = opaque
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .filter(|inner| !inner.contains('"'))
                .ok_or_else(malformed)?;
            if strong || weak {
                versions.extend(inner.parse::<i64>().ok());
            }
        }
    }
    Ok(seen.then_some(Match::Versions(versions)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a header value"))])
    }

    #[test]
    fn preconditions_are_read_as_the_standard_says() {
        assert_eq!(if_match(&with(IF_MATCH, "*")).expect("is read"), Match::Any);
        assert_eq!(if_match(&with(IF_MATCH, "\"3\", \"x\",W/\"4\"")).expect("is read"), Match::Versions(vec![3]));
        assert_eq!(if_none_match(&with(IF_NONE_MATCH, "W/\"4\"")).expect("is read"), Some(Match::Versions(vec![4])));
        assert_eq!(if_match(&with(IF_MATCH, "3")).expect_err("is refused").code(), "malformed_etag");
        assert_eq!(if_match(&HeaderMap::new()).expect_err("is refused").code(), "if_match_required");
        assert_eq!(if_none_match(&HeaderMap::new()).expect("is read"), None);
    }
}
