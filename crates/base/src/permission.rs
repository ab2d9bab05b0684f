//! What can be granted: `<resource>:<verb>` with a closed list of verbs, allowed or denied, within a scope.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::filter::Expr;
use crate::{Error, ErrorKind};

/// What may be done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// See it.
    Read,
    /// Create or change it.
    Write,
    /// Remove it.
    Delete,
    /// Make it act.
    Execute,
    /// Allow what another person asked for.
    Approve,
}

impl Verb {
    /// Every verb there is.
    pub const ALL: [Verb; 5] = [Verb::Read, Verb::Write, Verb::Delete, Verb::Execute, Verb::Approve];

    /// As written after the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Read => "read",
            Verb::Write => "write",
            Verb::Delete => "delete",
            Verb::Execute => "execute",
            Verb::Approve => "approve",
        }
    }
}

/// A permission as text names it: `devices:read`, `devices:*`, `*:read`, `admin:*`.
///
/// `admin:*` is everything inside one tenant and never `tenants:*` or `platform:*`, which exist only in the operator tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// Plural noun, or `*`.
    pub resource: String,
    /// `None` is every verb.
    pub verb: Option<Verb>,
}

impl FromStr for Permission {
    type Err = Error;

    /// Fails with `invalid_permission`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = || {
            let detail =
                format!("\"{text}\" is not a permission. Write <resource>:<verb> with one of read, write, delete, execute, approve or *.");
            Error::new(ErrorKind::Invalid, "invalid_permission", detail)
        };
        let (resource, verb) = text.split_once(':').ok_or_else(refuse)?;
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_' || c == '.';
        if resource != "*" && (resource.is_empty() || !resource.chars().all(word)) {
            return Err(refuse());
        }
        let verb = match verb {
            "*" => None,
            named => Some(Verb::ALL.into_iter().find(|known| known.as_str() == named).ok_or_else(refuse)?),
        };
        Ok(Self { resource: resource.to_owned(), verb })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource, self.verb.map_or("*", Verb::as_str))
    }
}

/// Whether an entry gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Gives the permission.
    Allow,
    /// Takes it, whatever else gives it.
    Deny,
}

/// One entry of a role: a permission allowed or denied, everywhere or only where the scope filter is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Gives or takes.
    pub effect: Effect,
    /// What.
    pub permission: Permission,
    /// Where; `None` is everywhere in the tenant.
    pub scope: Option<Expr>,
}
