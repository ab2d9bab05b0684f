//! Where a permission holds: what the scoped entries of a caller's roles or key leave of it.

use std::fmt;

use steward_base::Timestamp;
use steward_base::filter::{self, Expr, Registry};

/// Where a permission holds when that is not everywhere in the tenant. [`crate::require`] makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// The entries that give it; `None` when one of them gives it everywhere.
    allow: Option<Vec<Expr>>,
    /// The entries that take it.
    deny: Vec<Expr>,
}

impl Scope {
    /// What the entries leave; `None` for everywhere.
    pub(crate) fn of(allow: Option<Vec<Expr>>, deny: Vec<Expr>) -> Option<Self> {
        (allow.is_some() || !deny.is_empty()).then_some(Self { allow, deny })
    }

    /// The filter that rows with these fields must pass; `None` when the permission reaches no such row.
    ///
    /// Of an entry over a field that the rows do not have, an allow does not match and a deny does.
    pub fn over(&self, fields: &Registry, now: Timestamp) -> Option<Expr> {
        let checked = |entry: &Expr| filter::check(entry.clone(), fields, now).ok();
        let mut parts = Vec::with_capacity(self.deny.len() + 1);
        for entry in &self.deny {
            parts.push(Expr::Not(Box::new(checked(entry)?)));
        }
        if let Some(allow) = &self.allow {
            let given: Vec<Expr> = allow.iter().filter_map(checked).collect();
            if given.is_empty() {
                return None;
            }
            parts.push(one_or(given, Expr::Or));
        }
        Some(one_or(parts, Expr::And))
    }
}

/// The entries as one text, the same for the same scope: what a cursor is bound to.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = |entries: &[Expr]| entries.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        match &self.allow {
            Some(allow) => write!(f, "allow {}; deny {}", texts(allow), texts(&self.deny)),
            None => write!(f, "deny {}", texts(&self.deny)),
        }
    }
}

fn one_or(mut parts: Vec<Expr>, join: impl FnOnce(Vec<Expr>) -> Expr) -> Expr {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use steward_base::filter::FieldType;

    fn parse(text: &str) -> Expr {
        filter::parse(text).expect("is a filter")
    }

    fn of(allow: Option<&[&str]>, deny: &[&str]) -> Scope {
        let all = |texts: &[&str]| texts.iter().map(|text| parse(text)).collect();
        Scope::of(allow.map(all), all(deny)).expect("is not everywhere")
    }

    #[test]
    fn over_fields_that_rows_lack_an_allow_does_not_match_and_a_deny_does() {
        let (fields, now) = (Registry::new().without_words().with("organization_id", FieldType::Text), Timestamp::from_micros(0));
        let known = of(Some(&["organization_id = org_1", "project_id = prj_1"]), &[]).over(&fields, now).expect("one entry reaches");
        assert!(filter::matches(&known, &json!({ "organization_id": "org_1" })));
        assert!(!filter::matches(&known, &json!({ "organization_id": "org_2", "project_id": "prj_1" })));
        for lacking in ["project_id = prj_1", "NOT project_id = prj_1", "organization_id = org_1 OR project_id = prj_1", "word"] {
            assert_eq!(of(Some(&[lacking]), &[]).over(&fields, now), None, "{lacking}");
            assert_eq!(of(None, &[lacking]).over(&fields, now), None, "{lacking}");
        }
        let denied = of(None, &["organization_id = org_1"]).over(&fields, now).expect("reaches the others");
        assert!(!filter::matches(&denied, &json!({ "organization_id": "org_1" })) && filter::matches(&denied, &json!({})));
    }
}
