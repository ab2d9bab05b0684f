//! Whose data it is and what sort of it: the first two parts of every key.

use std::fmt;

use steward_base::TenantId;

/// Whose data it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A tenant's.
    Tenant(TenantId),
    /// The installation's own: leases of its background work, its mail to operators.
    Platform,
}

impl Scope {
    /// Reads back what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "platform" { Some(Self::Platform) } else { text.parse().ok().map(Self::Tenant) }
    }
}

impl From<TenantId> for Scope {
    fn from(tenant: TenantId) -> Self {
        Self::Tenant(tenant)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => tenant.fmt(f),
            Self::Platform => f.write_str("platform"),
        }
    }
}

/// What sort of data it is: a name chosen in the source, so that there are few and none comes from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Class(&'static str);

impl Class {
    /// A class. Used in a constant, a name of anything but 1 to 40 lowercase letters, digits and hyphens does not compile.
    ///
    /// # Panics
    ///
    /// When the name is not of that form.
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 40, "a class has 1 to 40 characters");
        let mut at = 0;
        while at < bytes.len() {
            assert!(matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-'), "a class is named with lowercase letters, digits and hyphens");
            at += 1;
        }
        Self(name)
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
