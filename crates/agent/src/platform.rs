//! Everything that differs between operating systems. Written for Linux and run there only; other systems come with the fleet issue.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use jiff::tz::TimeZone;

/// Makes a folder that only its owner can enter, or makes an existing one so. What it had to make survives a power cut.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    // Without its name in the folder above, a folder is gone with all that was synced in it.
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    for above in missing.iter().rev().filter_map(|folder| folder.parent()) {
        sync_folder(above)?;
    }
    let path = path.as_path();
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Replaces a file as a whole, readable by its owner only, and waits until it is on disk.
pub(crate) fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// The same, and what the file held is then in `previous`.
///
/// In between there is only `previous`; a reader that finds no file takes that one.
pub(crate) fn replace_private_file_keeping(path: &Path, previous: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::rename(path, previous) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => replace_private_file(path, bytes),
    }
}

/// Opens a new file for appending, readable by its owner only.
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// Waits until a folder's names are on disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What stays the same when a file is renamed: device and inode.
pub(crate) fn file_identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Reads up to `buffer.len()` bytes at a position, fewer at the end of the file.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The id the system gave this installation, when it did.
pub(crate) fn machine_id() -> Option<String> {
    let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let plausible = |id: &String| id.len() >= 16 && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().filter_map(read).find(plausible)
}

/// Whether a journal is being written on this machine.
pub(crate) fn has_journal() -> bool {
    Path::new("/run/systemd/journal/socket").exists()
}

/// Where the system's programs write their logs. With a journal, the files that repeat it are left out.
pub(crate) fn usual_log_files(journal: bool) -> Vec<String> {
    let own = ["/var/log/*.log"];
    let repeated = ["/var/log/syslog", "/var/log/messages"];
    own.iter().chain(repeated.iter().filter(|_| !journal)).map(|&path| path.to_owned()).collect()
}

/// Files under `/var/log` that hold what the journal holds too.
pub(crate) fn repeats_journal(path: &Path) -> bool {
    const REPEATED: [&str; 8] = ["syslog", "messages", "auth.log", "kern.log", "daemon.log", "user.log", "mail.log", "cron.log"];
    path.parent() == Some(Path::new("/var/log")) && path.file_name().is_some_and(|name| REPEATED.iter().any(|known| name == *known))
}

/// The zone in which this machine's programs write times without one.
pub(crate) fn time_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

/// Whether what passes a network interface never leaves the machine.
pub(crate) fn is_loopback(interface: &std::ffi::OsStr) -> bool {
    interface == "lo"
}

/// How many processes there are.
pub(crate) fn process_count() -> Option<u64> {
    let entries = fs::read_dir("/proc").ok()?;
    let is_process = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    Some(entries.flatten().filter(|entry| is_process(&entry.file_name())).count() as u64)
}
