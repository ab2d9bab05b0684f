//! What an entry is stored under: `<scope>/<space>/<class>/<name>`.
//!
//! Neither scope nor class can hold a slash, so that no two keys meet, whatever bytes the name has.

use steward_base::{Error, ErrorKind, Result};

use crate::{Class, Scope};

/// The longest name, in bytes.
const MAX_NAME: usize = 512;

/// The key of a value, a counter or a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    scope: Scope,
    class: Class,
    name: Box<[u8]>,
}

/// Values and counters are one space, leases another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Space {
    Values,
    Leases,
}

impl Key {
    /// The key of `name` in a class of a scope. Fails with `kv_key` when the name is empty or longer than 512 bytes.
    pub fn new(scope: impl Into<Scope>, class: Class, name: impl AsRef<[u8]>) -> Result<Self> {
        let name = name.as_ref();
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Error::new(ErrorKind::Invalid, "kv_key", format!("A key's name has 1 to {MAX_NAME} bytes.")));
        }
        Ok(Self { scope: scope.into(), class, name: name.into() })
    }

    /// Whose it is.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn stored(&self, space: Space) -> Vec<u8> {
        let space = match space {
            Space::Values => "v",
            Space::Leases => "l",
        };
        let mut bytes = format!("{}{space}/{}/", beginning(self.scope), self.class).into_bytes();
        bytes.extend_from_slice(&self.name);
        bytes
    }
}

/// What all keys of a scope begin with, and no others.
pub(super) fn beginning(scope: Scope) -> String {
    format!("{scope}/")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use steward_base::RecordId;

    use super::*;

    const CLASSES: [Class; 4] = [Class::new("a"), Class::new("a-b"), Class::new("v"), Class::new("l")];

    fn scope() -> impl Strategy<Value = Scope> {
        prop_oneof![Just(Scope::Platform), (0u8..3).prop_map(|byte| Scope::Tenant(RecordId::from_bytes([byte; 16]).into()))]
    }

    fn key() -> impl Strategy<Value = Key> {
        let name = prop_oneof!["[/avl-]{1,6}".prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 1..4)];
        (scope(), 0..CLASSES.len(), name).prop_map(|(scope, class, name)| Key::new(scope, CLASSES[class], name).expect("short"))
    }

    proptest! {
        #[test]
        fn no_two_keys_meet(keys in proptest::collection::vec(key(), 1..200)) {
            let mut seen = HashMap::new();
            for key in keys {
                for (leased, space) in [(false, Space::Values), (true, Space::Leases)] {
                    let stored = key.stored(space);
                    prop_assert!(stored.starts_with(beginning(key.scope()).as_bytes()));
                    let other = seen.entry(stored).or_insert_with(|| (key.clone(), leased));
                    prop_assert_eq!(&*other, &(key.clone(), leased));
                }
            }
        }
    }

    #[test]
    fn names_are_bounded() {
        for name in [vec![], vec![1; MAX_NAME + 1]] {
            assert_eq!(Key::new(Scope::Platform, CLASSES[0], name).expect_err("is refused").code(), "kv_key");
        }
    }
}
