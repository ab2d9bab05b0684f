//! An e-mail address that a mail server can be told.

use std::fmt;
use std::str::FromStr;

use steward_base::{Error, ErrorKind};

/// RFC 5321, 4.5.3.1.3, without the angle brackets.
const MAX_LENGTH: usize = 254;

/// A checked address, without a display name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(lettre::Address);

impl Address {
    pub(super) fn mailbox(&self, name: Option<String>) -> lettre::message::Mailbox {
        lettre::message::Mailbox::new(name, self.0.clone())
    }

    /// What is behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.domain()
    }
}

impl FromStr for Address {
    type Err = Error;

    /// Fails with `mail_address`. Quoted local parts are refused: nobody has one, and they can hold spaces and line ends.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || {
            let detail = "An e-mail address of the form name@example.org is expected.";
            Error::new(ErrorKind::Invalid, "mail_address", detail)
        };
        let odd = |character: char| character.is_control() || character.is_whitespace() || "\"<>(),;:\\".contains(character);
        if text.len() > MAX_LENGTH || text.contains(odd) {
            return Err(refused());
        }
        text.parse().map(Self).map_err(|_| refused())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    /// Addresses are personal data: logs show the domain only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…@{}", self.0.domain())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_addresses_may_be() {
        for text in ["a@example.org", "first.last+tag@sub.example.org", "jürgen@example.org", "a@bücher.example"] {
            assert_eq!(text.parse::<Address>().expect("is one").to_string(), text);
        }
        let long = format!("{}@example.org", "a".repeat(250));
        for text in
            ["", "a", "@", "a@", "@b", "a b@c.d", "a@b@c", "\"a\r\nBcc: x\"@c.d", "a@c.d\r\nBcc: x@y.z", "a@c.d, x@y.z", "<a@c.d>", &long]
        {
            assert_eq!(text.parse::<Address>().expect_err("is refused").code(), "mail_address", "{text:?}");
        }
        assert_eq!(format!("{:?}", "a@example.org".parse::<Address>().expect("is one")), "…@example.org");
    }

    proptest! {
        #[test]
        fn no_address_holds_a_line_end(text in "[a@.\r\n\"<> :]{0,12}|.*") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert!(!address.to_string().contains(|character: char| character.is_control() || character.is_whitespace()));
            }
        }
    }
}
