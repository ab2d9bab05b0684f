//! Files and folders whose names survive a power cut, also when whoever made them before was stopped on the way there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Who may read a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Readers {
    OnlyUs,
    /// What the mask of the process allows.
    Others,
}

/// Makes a folder with those above it.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    sync_name(path)?;
    // Whoever made those further up may not have come to this; what is not ours cannot be synced, and needs not.
    for above in above(path).ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        let _ = sync(above);
    }
    Ok(())
}

/// Puts a whole file in the place of another one or of none.
pub(crate) fn replace(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mode = match readers {
        Readers::OnlyUs => 0o600,
        Readers::Others => 0o666,
    };
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    sync_name(path)
}

/// Makes the name of a file, or its absence, survive.
pub(crate) fn sync_name(path: &Path) -> io::Result<()> {
    sync(above(path))
}

/// Makes the names in a folder, or their absence, survive.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn above(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_lies_in_the_present_folder() {
        sync_name(Path::new("records")).expect("is synced");
    }
}
