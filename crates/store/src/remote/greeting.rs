//! The greeting with which a process begins to ask one run of the data role: what both must agree on.
//!
//! The kinds of whoever asks must be among those of the data role and be kept the same way. Kinds and fields that only the data role has are
//! tolerated, so that it is upgraded first; a secret or personal field is not, since a process that does not know it would show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use steward_base::{Error, ErrorKind, Random};

use super::PREFIX;
use crate::keys::MasterKey;
use crate::kind::{Field, Kind, Kinds, OnDelete};

pub(super) const METHOD: &str = "greet";
const LABEL: &str = "data-greeting";

/// What a process says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Greeting {
    kinds: BTreeMap<String, Sketch>,
    /// Sealed under its master key.
    proof: String,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Welcome {
    /// Names this run of the data role.
    pub(super) run: String,
    /// The number of the last change so far.
    pub(super) seq: u64,
}

/// How a kind is kept: prefix, version and fields, each with type and keywords.
#[derive(Debug, Serialize, Deserialize)]
struct Sketch {
    prefix: String,
    version: i32,
    fields: BTreeMap<String, String>,
}

impl Greeting {
    pub(super) fn of(kinds: &Kinds, master: &MasterKey, random: &Random) -> Self {
        let kinds = kinds.iter().map(|kind| (kind.name().to_owned(), Sketch::of(kind))).collect();
        Self { kinds, proof: master.seal(LABEL, PREFIX.as_bytes(), b"", random) }
    }

    /// Errors: `kinds_differ`, `master_key_wrong`.
    pub(super) fn check(&self, kinds: &Kinds, master: &MasterKey) -> Result<(), Error> {
        if master.open(LABEL, PREFIX.as_bytes(), &self.proof).is_none() {
            let detail = "The data role has another master key than this process: give both the same.";
            return Err(Error::new(ErrorKind::Unavailable, "master_key_wrong", detail));
        }
        let differing: Vec<&str> = self
            .kinds
            .iter()
            .filter(|(name, sketch)| !kinds.get(name).is_some_and(|kind| sketch.fits(kind)))
            .map(|(name, _)| &**name)
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "The data role is of another version than this process and keeps {} differently: upgrade the data role first, then the others.",
            differing.join(", ")
        );
        Err(Error::new(ErrorKind::Unavailable, "kinds_differ", detail))
    }
}

impl Sketch {
    fn of(kind: &Kind) -> Self {
        let fields = kind.fields().iter().map(|field| (field.path.clone(), keywords(field))).collect();
        Self { prefix: kind.prefix().to_owned(), version: kind.version(), fields }
    }

    /// Whether a process with this sketch may ask one that keeps the kind so.
    fn fits(&self, kind: &Kind) -> bool {
        let known = |(path, said): (&String, &String)| kind.field(path).is_some_and(|field| keywords(field) == *said);
        let open = |field: &Field| !(field.secret || field.personal) || self.fields.contains_key(&field.path);
        let same = self.prefix == kind.prefix() && self.version == kind.version();
        same && self.fields.iter().all(known) && kind.fields().iter().all(open)
    }
}

fn keywords(field: &Field) -> String {
    let flags = [
        (field.list, "list"),
        (field.indexed, "indexed"),
        (field.unique, "unique"),
        (field.searchable, "searchable"),
        (field.personal, "personal"),
        (field.secret, "secret"),
        (field.sealed, "sealed"),
        (field.scope, "scope"),
    ];
    let mut text = field.value.name().to_owned();
    for (_, name) in flags.into_iter().filter(|(set, _)| *set) {
        text.push(' ');
        text.push_str(name);
    }
    if let Some(reference) = &field.reference {
        let then = match reference.on_delete {
            OnDelete::Restrict => "restrict",
            OnDelete::Cascade => "cascade",
            OnDelete::Clear => "clear",
        };
        text.push_str(&format!(" of {} {then}", reference.kind));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kinds(properties: &Value) -> Kinds {
        Kinds::new().with(Kind::from_schema("box", "box", json!({ "type": "object", "properties": properties })).expect("a kind"))
    }

    fn answer(asking: &Kinds, serving: &Kinds) -> Result<(), &'static str> {
        let master = MasterKey::new([1; 32]);
        Greeting::of(asking, &master, &Random::seeded(1)).check(serving, &master).map_err(|error| error.code())
    }

    #[test]
    fn what_is_kept_the_same_way_is_welcome_and_additions_are_tolerated() {
        let plain = kinds(&json!({ "name": { "type": "string", "indexed": true } }));
        assert_eq!(answer(&plain, &plain), Ok(()));
        let more = kinds(&json!({ "name": { "type": "string", "indexed": true }, "size": { "type": "integer" } }));
        assert_eq!(answer(&plain, &more), Ok(()), "the data role is newer");
        assert_eq!(answer(&more, &plain), Err("kinds_differ"), "the data role is older");
        assert_eq!(answer(&plain, &Kinds::new()), Err("kinds_differ"));
        assert_eq!(answer(&Kinds::new(), &plain), Ok(()));
        let unique = kinds(&json!({ "name": { "type": "string", "indexed": true, "unique": true } }));
        assert_eq!(answer(&plain, &unique), Err("kinds_differ"));
        let secret = kinds(&json!({ "name": { "type": "string", "indexed": true }, "pin": { "type": "string", "secret": true } }));
        assert_eq!(answer(&plain, &secret), Err("kinds_differ"), "it would be shown");
    }

    #[test]
    fn another_master_key_is_refused() {
        let greeting = Greeting::of(&Kinds::new(), &MasterKey::new([1; 32]), &Random::seeded(1));
        let refused = greeting.check(&Kinds::new(), &MasterKey::new([2; 32])).expect_err("is another");
        assert_eq!(refused.code(), "master_key_wrong");
    }
}
