//! Which search rows a batch writes: those of texts that changed, and no others.

use super::Live;
use crate::kind::{Kinds, Terms};
use crate::rows::{Key, Writes};

/// Adds what the change of one record makes necessary. Reading the terms of a stored text costs more than seeing that it is the same.
pub(super) fn changed(kinds: &Kinds, key: Key, (before, after): (Option<&Live>, Option<&Live>), writes: &mut Writes) {
    let kind = kinds.at(key.0);
    let same = |before: &Live, after: &Live| kind.searched(&before.body) == kind.searched(&after.body);
    if !kind.is_searchable() || before.zip(after).is_some_and(|(before, after)| same(before, after)) {
        return;
    }
    let terms = |live: &Live| -> Terms { live.terms.as_ref().map_or_else(|| kind.terms(&live.body), |known| (**known).clone()) };
    let (gone, new) = (before.map(terms).unwrap_or_default(), after.map(terms).unwrap_or_default());
    let row = |term: &str| (key.0, Box::from(term), key.1);
    // Both are in order.
    writes.terms_gone.extend(gone.iter().filter(|term| new.binary_search(term).is_err()).map(|term| row(term)));
    writes.terms_new.extend(new.iter().filter(|term| gone.binary_search(term).is_err()).map(|term| row(term)));
}
