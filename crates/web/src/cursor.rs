//! Cursors: where a list goes on, signed so that nobody can make or bend one.
//!
//! A cursor is bound to the tenant, the operation and everything that shapes the list. It carries the `now` of the first page, so that
//! `last_seen < now-1h` means the same on every page.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, TenantId, Timestamp};

const TAG: usize = 16;

/// Signs and opens cursors.
#[derive(Clone)]
pub struct Cursors(hmac::Key);

/// What a cursor is good for.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// Whose list.
    pub tenant: TenantId,
    /// Which operation.
    pub operation: &'a str,
    /// Filter, order and whatever else shapes the list, each as its own text.
    pub shape: &'a [&'a str],
}

/// What a cursor carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark<T> {
    /// The `now` of the first page.
    #[serde(rename = "n")]
    pub now: Timestamp,
    /// Where the next page starts.
    #[serde(rename = "a")]
    pub after: T,
}

impl Cursors {
    /// HMAC-SHA256 under `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The text form of `mark`.
    pub fn seal<T: Serialize>(&self, bound: Bound<'_>, mark: &Mark<T>) -> Result<String, Error> {
        let mut bytes = serde_json::to_vec(mark).map_err(Error::internal)?;
        let tag = self.tag(bound, &bytes);
        bytes.extend_from_slice(&tag.as_ref()[..TAG]);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What [`Cursors::seal`] wrote for the same bound; anything else fails with `invalid_cursor`.
    pub fn open<T: DeserializeOwned>(&self, bound: Bound<'_>, text: &str) -> Result<Mark<T>, Error> {
        let refused = || {
            let detail = "This cursor belongs to another list, or was changed. Leave it out to start from the beginning.";
            Error::new(ErrorKind::Malformed, "invalid_cursor", detail).with_field(
                "/cursor",
                "invalid_cursor",
                "Start again without a cursor.",
            )
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (mark, tag) = bytes.split_at_checked(bytes.len().saturating_sub(TAG)).ok_or_else(refused)?;
        let own = self.tag(bound, mark);
        aws_lc_rs::constant_time::verify_slices_are_equal(&own.as_ref()[..TAG], tag).map_err(|_| refused())?;
        serde_json::from_slice(mark).map_err(|_| refused())
    }

    fn tag(&self, bound: Bound<'_>, mark: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        // Every part is preceded by its length: no two bounds read the same.
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        part(&bound.tenant.bytes());
        part(bound.operation.as_bytes());
        bound.shape.iter().for_each(|text| part(text.as_bytes()));
        part(mark);
        context.sign()
    }
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursors")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_open_only_where_they_belong() {
        let (cursors, mark) = (Cursors::new(&[1; 32]), Mark { now: Timestamp::from_micros(5), after: vec![1, 2] });
        let bound = Bound { tenant: TenantId::OPERATOR, operation: "devices.list", shape: &["a", "b"] };
        let text = cursors.seal(bound, &mark).expect("seals");
        assert_eq!(cursors.open::<Vec<i32>>(bound, &text).expect("opens"), mark);

        let elsewhere = [Bound { operation: "devices.count", ..bound }, Bound { shape: &["ab", ""], ..bound }];
        for other in elsewhere {
            assert_eq!(cursors.open::<Vec<i32>>(other, &text).expect_err("is refused").code(), "invalid_cursor");
        }
        assert!(Cursors::new(&[2; 32]).open::<Vec<i32>>(bound, &text).is_err());
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert!(cursors.open::<Vec<i32>>(bound, &String::from_utf8(forged).expect("is text")).is_err());
        }
        assert!(cursors.open::<Vec<i32>>(bound, "").is_err());
    }
}
