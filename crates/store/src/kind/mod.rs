//! What can be stored: a name, an id prefix, a JSON Schema and the keywords on its properties.

mod canonical;
mod check;
mod fields;
mod input;
mod registry;
mod schema;
mod terms;
mod upgrade;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use steward_base::filter::Registry;

pub(crate) use canonical::{Canonical, Entries};
pub use check::{NO_NUL, SchemaChecker};
pub use fields::{Field, OnDelete, Reference, ValueType};
pub(crate) use terms::{Terms, asked, meets};
pub use upgrade::Upgrade;

/// A Rust type that is the body of a kind.
///
/// Its doc comments become the schema's descriptions. Keywords go on properties as `#[schemars(extend("indexed" = true))]`: `indexed`,
/// `unique`, `searchable`, `personal`, `secret`, `readOnly`, `scope`, `reference` (a kind's name) with `on_delete` (`restrict`, the default,
/// `cascade` or `clear`). A secret is sealed by the store when the keyword is `true` (the type is then [`crate::Sealed`]); with `"hashed"` its
/// owner hashed or sealed it, and it is stored as it is. The type must tolerate unknown fields: strictness lives in the input schema only.
pub trait Model: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {
    /// Singular, snake case, as in `api_key`; event types begin with it.
    const KIND: &'static str;
    /// Of its ids, as in `key`.
    const PREFIX: &'static str;
    /// How bodies that earlier versions stored become bodies of this one, oldest step first. What was released is never edited.
    const UPGRADES: &'static [Upgrade] = &[];
}

/// What can be stored under one name.
pub struct Kind {
    name: Arc<str>,
    prefix: Arc<str>,
    stored: Value,
    input: Value,
    output: Value,
    fields: Vec<Field>,
    registry: Registry,
    stored_check: SchemaChecker,
    input_check: SchemaChecker,
    /// Has a secret that the store seals.
    seals: bool,
    upgrades: &'static [Upgrade],
    /// The installation's own: see [`Kind::of_platform`].
    of_platform: bool,
    /// Top-level names that events do not tell in the clear.
    in_events: HashMap<String, InEvents>,
}

/// How events tell a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InEvents {
    /// As it is.
    Openly,
    /// Sealed under the key of the record: it or something below it is personal.
    Sealed,
    /// By name only: it or something below it is secret.
    Never,
}

impl Kind {
    /// The kind of a Rust type.
    ///
    /// # Panics
    /// When the type's schema breaks a rule of kinds (an unknown reference policy, more than 64 indexed fields, a `secret` that is
    /// indexed): that is a defect in the program and shows at the first start.
    pub fn of<M: Model>() -> Self {
        let schema = schema::of_type::<M>();
        let kind = Self::from_schema(M::KIND, M::PREFIX, schema);
        let kind = kind.unwrap_or_else(|problem| panic!("kind {} breaks a rule of kinds: {problem}", M::KIND));
        Self { upgrades: M::UPGRADES, ..kind }
    }

    /// The kind with this schema; the error says which rule of kinds it breaks.
    pub fn from_schema(name: &str, prefix: &str, schema: Value) -> Result<Self, String> {
        let stored = schema::tolerant(schema);
        let fields = fields::extract(&stored)?;
        let input = schema::strict(&stored);
        let output = schema::output(&stored, prefix);
        let seals = fields.iter().any(|field| field.sealed);
        Ok(Self {
            name: name.into(),
            prefix: prefix.into(),
            registry: registry::of(&stored),
            stored_check: if seals { SchemaChecker::compile(&schema::with_sealed(&stored))? } else { SchemaChecker::compile(&stored)? },
            input_check: SchemaChecker::compile(&input)?,
            stored,
            input,
            output,
            in_events: in_events(&fields),
            fields,
            seals,
            upgrades: &[],
            of_platform: false,
        })
    }

    /// Its records say something about the installation and all of its tenants: they are in control only, and no tenant's file may bring any.
    #[must_use]
    pub fn of_platform(self) -> Self {
        Self { of_platform: true, ..self }
    }

    pub(crate) fn is_of_platform(&self) -> bool {
        self.of_platform
    }

    /// Singular, as in `device`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Of its ids, as in `dev`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The schema of stored bodies: unknown fields are kept, since a newer version may have written them.
    pub fn schema(&self) -> &Value {
        &self.stored
    }

    /// The schema that a body is checked against before it is stored: that of stored bodies, where a secret may stand as it was read, sealed.
    pub fn body_schema(&self) -> Cow<'_, Value> {
        if self.seals { Cow::Owned(schema::with_sealed(&self.stored)) } else { Cow::Borrowed(&self.stored) }
    }

    /// The schema of what clients send: unknown fields are refused, `readOnly` ones are never required.
    pub fn input_schema(&self) -> &Value {
        &self.input
    }

    /// The schema of what clients get: the body and the record's own fields (`id`, `revision`, `created_at` …).
    pub fn output_schema(&self) -> &Value {
        &self.output
    }

    /// The typed fields that a filter may name: those of the body and the record's own.
    pub fn filter_registry(&self) -> &Registry {
        &self.registry
    }

    /// Whether it has a secret that the store seals.
    pub(crate) fn seals(&self) -> bool {
        self.seals
    }

    /// Whether it has a field with personal data: who reads its records is recorded.
    pub fn is_personal(&self) -> bool {
        self.fields.iter().any(|field| field.personal)
    }

    /// Whether it has a field that events do not tell in the clear.
    pub(crate) fn is_confidential(&self) -> bool {
        !self.in_events.is_empty()
    }

    /// How events tell a top-level field.
    pub(crate) fn shown_in_events(&self, name: &str) -> InEvents {
        self.in_events.get(name).copied().unwrap_or(InEvents::Openly)
    }

    /// Fields of the body that carry a value or a keyword, nested ones by dotted path.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field at a dotted path.
    pub fn field(&self, path: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.path == path)
    }
}

fn in_events(fields: &[Field]) -> HashMap<String, InEvents> {
    let mut told = HashMap::new();
    for field in fields.iter().filter(|field| field.secret || field.personal) {
        let Some(name) = field.segments.first() else { continue };
        let slot = told.entry(name.clone()).or_insert(InEvents::Sealed);
        if field.secret {
            *slot = InEvents::Never;
        }
    }
    told
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kind({})", self.name)
    }
}

/// The kinds of an installation: one list, given at start.
#[derive(Default)]
pub struct Kinds {
    kinds: Vec<Arc<Kind>>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Kinds {
    /// No kinds yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// When its name or prefix is taken: two crates claim one kind.
    #[must_use]
    pub fn with(mut self, kind: Kind) -> Self {
        let taken = self.kinds.iter().any(|known| known.name == kind.name || known.prefix == kind.prefix);
        assert!(!taken, "kind {} ({}) is declared twice", kind.name, kind.prefix);
        self.by_name.insert(kind.name.clone(), self.kinds.len());
        self.kinds.push(Arc::new(kind));
        self
    }

    /// The kind of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Kind>> {
        self.index(name).map(|index| &self.kinds[index])
    }

    /// The kind whose ids have this prefix.
    pub fn by_prefix(&self, prefix: &str) -> Option<&Arc<Kind>> {
        self.kinds.iter().find(|kind| &*kind.prefix == prefix)
    }

    /// Every kind, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter()
    }

    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn at(&self, index: usize) -> &Arc<Kind> {
        &self.kinds[index]
    }

    /// References between kinds must lead somewhere; the error names the first that does not.
    pub(crate) fn verify(&self) -> Result<(), String> {
        for kind in &self.kinds {
            for field in &kind.fields {
                if let Some(reference) = &field.reference
                    && self.get(&reference.kind).is_none()
                {
                    return Err(format!("{}.{} refers to {}, which is no kind", kind.name, field.path, reference.kind));
                }
            }
        }
        Ok(())
    }
}
