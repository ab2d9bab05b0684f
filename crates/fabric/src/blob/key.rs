//! What an object is stored under: `<scope>/<class>/<name>`, always three parts.
//!
//! A name has no slash and does not begin with a dot, so no key is a path to anywhere else, and none is a folder to another.

use object_store::path::Path;
use steward_base::{Error, ErrorKind, Result};

use crate::{Class, Scope};

/// The longest name; file systems take 255 bytes, and what is being written has a longer one for a while.
const MAX_NAME: usize = 200;

/// The key of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    scope: Scope,
    class: Class,
    name: Box<str>,
}

impl Key {
    /// The key of `name` in a class of a scope. Fails with `blob_key` unless the name is 1 to 200 ASCII letters, digits and `-_.=`, the first
    /// of them no dot.
    pub fn new(scope: impl Into<Scope>, class: Class, name: &str) -> Result<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || name.starts_with('.') || !name.bytes().all(known) {
            let detail = format!("An object's name has 1 to {MAX_NAME} letters, digits and -_.= and does not begin with a dot.");
            return Err(Error::new(ErrorKind::Invalid, "blob_key", detail));
        }
        Ok(Self { scope: scope.into(), class, name: name.into() })
    }

    /// Whose it is.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Its class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its name within the class.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> Path {
        Path::from_iter([self.scope.to_string().as_str(), self.class.name(), &self.name])
    }
}

/// Where the objects of a class are.
pub(super) fn folder(scope: Scope, class: Class) -> Path {
    Path::from_iter([scope.to_string().as_str(), class.name()])
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Component;

    use proptest::prelude::*;
    use steward_base::RecordId;

    use super::*;

    const CLASSES: [Class; 3] = [Class::new("a"), Class::new("a-b"), Class::new("b")];

    fn scope() -> impl Strategy<Value = Scope> {
        prop_oneof![Just(Scope::Platform), (0u8..3).prop_map(|byte| Scope::Tenant(RecordId::from_bytes([byte; 16]).into()))]
    }

    proptest! {
        #[test]
        fn no_two_keys_meet(parts in proptest::collection::vec((scope(), 0..CLASSES.len(), "[a-bA-B.=_-]{1,4}"), 1..200)) {
            let mut seen = HashMap::new();
            for (scope, class, name) in parts {
                let Ok(key) = Key::new(scope, CLASSES[class], &name) else { continue };
                let other = seen.entry(key.path().to_string()).or_insert_with(|| key.clone());
                prop_assert_eq!(&*other, &key);
            }
        }

        #[test]
        fn no_name_leads_elsewhere(scope in scope(), name in prop_oneof!["[./\\\\a%#~]{1,8}", ".*"]) {
            let Ok(key) = Key::new(scope, CLASSES[0], &name) else { return Ok(()) };
            let text = key.path().to_string();
            prop_assert_eq!(&text, &format!("{scope}/a/{name}"), "nothing is encoded");
            let parts: Vec<_> = std::path::Path::new(&text).components().collect();
            prop_assert_eq!(parts.len(), 3);
            prop_assert!(parts.iter().all(|part| matches!(part, Component::Normal(_))));
        }
    }

    #[test]
    fn what_names_may_be() {
        for name in ["a", "2026-11-20.ndjson.zst", "sha256=ab_c", "A.B"] {
            assert!(Key::new(Scope::Platform, CLASSES[0], name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a\0", "ä", "a#1", "%2e", &"a".repeat(201)] {
            assert_eq!(Key::new(Scope::Platform, CLASSES[0], name).expect_err("is refused").code(), "blob_key", "{name}");
        }
    }
}
