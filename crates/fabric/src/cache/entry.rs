//! What is kept, and under which name.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::{Equivalent, Weighter};
use steward_base::TenantId;

use crate::Class;

/// What keeping an entry costs beside key and value.
const OVERHEAD: u64 = 200;

/// The name of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) tenant: TenantId,
    pub(super) class: Class,
    pub(super) key: Box<str>,
}

/// The same, borrowed, so that a hit allocates nothing. It must hash as [`Name`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NameRef<'a> {
    pub(super) tenant: TenantId,
    pub(super) class: Class,
    pub(super) key: &'a str,
}

impl NameRef<'_> {
    pub(super) fn owned(&self) -> Name {
        Name { tenant: self.tenant, class: self.class, key: self.key.into() }
    }
}

impl Name {
    pub(super) fn borrowed(&self) -> NameRef<'_> {
        NameRef { tenant: self.tenant, class: self.class, key: &self.key }
    }
}

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        *self == name.borrowed()
    }
}

/// A value, its version, its weight, and when it ends by the clock of this process.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Arc<dyn Any + Send + Sync>,
    pub(super) version: i64,
    pub(super) bytes: usize,
    pub(super) until: Duration,
}

/// Weighs entries in bytes.
#[derive(Clone, Debug)]
pub(super) struct Weight;

impl Weighter<Name, Entry> for Weight {
    fn weight(&self, name: &Name, entry: &Entry) -> u64 {
        OVERHEAD + name.key.len() as u64 + entry.bytes as u64
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use proptest::prelude::*;
    use steward_base::RecordId;

    use super::*;

    const CLASSES: [Class; 2] = [Class::new("a"), Class::new("ab")];

    proptest! {
        #[test]
        fn names_are_equal_when_all_parts_are(
            (tenant, class, key) in (0u8..2, 0usize..2, "[ab]{0,3}"), (tenant2, class2, key2) in (0u8..2, 0usize..2, "[ab]{0,3}"),
        ) {
            let name = |tenant: u8, class: usize, key: &str| Name {
                tenant: RecordId::from_bytes([tenant; 16]).into(), class: CLASSES[class], key: key.into(),
            };
            let (left, right) = (name(tenant, class, &key), name(tenant2, class2, &key2));
            let same = tenant == tenant2 && class == class2 && key == key2;
            prop_assert_eq!(left.borrowed().equivalent(&right), same);
            prop_assert_eq!(left == right, same);
            let state = RandomState::new();
            prop_assert_eq!(state.hash_one(&left), state.hash_one(left.borrowed()));
            prop_assert_eq!(left.borrowed().owned(), left);
        }
    }
}
