//! The files of signed heads.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use steward_base::{Result, TenantId};

use super::key::{holds, public_of, unusable};
use super::{HeadSigner, SignedHead};
use crate::durable::{self, Readers};

/// So much is read at once when the end of the last whole line is looked for.
const CHUNK: u64 = 4096;

/// A folder that heads are appended to.
pub struct HeadLog(PathBuf);

/// The heads of a folder whose signatures hold, and what else was found there.
#[derive(Debug, Default)]
pub struct Heads {
    by_tenant: BTreeMap<TenantId, Vec<SignedHead>>,
    /// A sentence for each line that is no signed head, with file and line.
    pub problems: Vec<String>,
    /// The same for what a crash left unfinished: it was never relied on.
    pub incomplete: Vec<String>,
}

impl HeadLog {
    /// Makes the folder and puts the public key there.
    ///
    /// Errors: `audit_folder`.
    pub fn open(folder: impl Into<PathBuf>, signer: &HeadSigner) -> Result<Self> {
        let folder = folder.into();
        let path = folder.join(format!("key-{}.pem", signer.id()));
        let write = || {
            durable::folder(&folder)?;
            let pem = signer.public_pem();
            match std::fs::read(&path) {
                // Whoever put it there may not have come to make its name durable.
                Ok(known) if known == pem.as_bytes() => durable::sync(&folder),
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => durable::replace(&path, pem.as_bytes(), Readers::Others),
            }
        };
        write().map_err(|error| unusable(&path, &error))?;
        Ok(Self(folder))
    }

    /// Appends heads to the file of their month; when it answers they are on disk.
    ///
    /// Errors: `audit_folder`.
    pub fn append(&self, heads: &[SignedHead]) -> Result<()> {
        let mut months: BTreeMap<String, Vec<&SignedHead>> = BTreeMap::new();
        for head in heads {
            months.entry(head.time.to_string().chars().take(7).collect()).or_default().push(head);
        }
        for (month, heads) in months {
            let path = self.0.join(format!("heads-{month}.jsonl"));
            append(&path, &heads).map_err(|error| unusable(&path, &error))?;
        }
        Ok(())
    }
}

fn append(path: &Path, heads: &[&SignedHead]) -> io::Result<()> {
    let mut file = File::options().create(true).read(true).append(true).open(path)?;
    // A crash may have left half a line, which nobody relied on. Were it gone only with what follows, a second crash could mix the two.
    let (length, whole) = (file.metadata()?.len(), whole_lines(&mut file)?);
    if whole < length {
        file.set_len(whole)?;
        file.sync_all()?;
    }
    let mut text = Vec::new();
    for head in heads {
        serde_json::to_writer(&mut text, head)?;
        text.push(b'\n');
    }
    file.write_all(&text)?;
    file.sync_all()?;
    // The file may be there since a moment ago only, or since a process that was stopped before it came to this.
    durable::sync_name(path)
}

/// How many bytes of a file are whole lines.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut chunk = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(CHUNK);
        chunk.clear();
        file.seek(SeekFrom::Start(begin))?;
        file.take(end - begin).read_to_end(&mut chunk)?;
        if let Some(at) = memchr::memrchr(b'\n', &chunk) {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

impl Heads {
    /// Reads a folder; one that is not there holds none.
    ///
    /// Errors: `audit_folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let (mut keys, mut files) = (HashMap::new(), Vec::new());
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unusable(folder, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| unusable(folder, &error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if let Some(id) = name.strip_prefix("key-").and_then(|name| name.strip_suffix(".pem")) {
                let pem = std::fs::read_to_string(&path).map_err(|error| unusable(&path, &error))?;
                keys.extend(public_of(&pem, id).map(|public| (id.to_owned(), public)));
            } else if name.starts_with("heads-") && name.ends_with(".jsonl") {
                files.push((name, path));
            }
        }
        files.sort();
        let mut heads = Self::default();
        for (name, path) in files {
            let text = std::fs::read(&path).map_err(|error| unusable(&path, &error))?;
            heads.read_lines(&name, &String::from_utf8_lossy(&text), &keys);
        }
        Ok(heads)
    }

    /// The tenants that have signed heads.
    pub fn tenants(&self) -> impl Iterator<Item = TenantId> {
        self.by_tenant.keys().copied()
    }

    /// The heads of a tenant, in the order in which they were written.
    pub fn of(&self, tenant: TenantId) -> &[SignedHead] {
        self.by_tenant.get(&tenant).map_or(&[], Vec::as_slice)
    }

    fn read_lines(&mut self, name: &str, text: &str, keys: &HashMap<String, Vec<u8>>) {
        for (number, line) in text.split_inclusive('\n').enumerate() {
            // The end is missing, or the middle: what a power cut kept from the disk reads as zeros.
            if !line.ends_with('\n') || line.contains('\0') {
                let told = format!("{name}, line {}: is not complete: the machine stopped while it was written.", number + 1);
                self.incomplete.push(told);
                continue;
            }
            let problem = match serde_json::from_str::<SignedHead>(line) {
                Err(_) => "is no signed head",
                Ok(head) => match keys.get(&head.key) {
                    None => "is signed with a key that is not in this folder",
                    Some(public) if !holds(&head, public) => "was changed: its signature does not hold",
                    Some(_) => {
                        self.by_tenant.entry(head.tenant).or_default().push(head);
                        continue;
                    }
                },
            };
            self.problems.push(format!("{name}, line {}: {problem}.", number + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use steward_base::{Clock, Random};

    use super::*;
    use crate::MasterKey;
    use crate::dump::Position;

    #[test]
    fn heads_are_read_back_and_what_was_changed_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let (master, random, clock) = (MasterKey::new([1; 32]), Random::seeded(1), Clock::system());
        let signer = HeadSigner::load_or_create(folder.path(), &master, &random).expect("makes a key");
        let again = HeadSigner::load_or_create(folder.path(), &master, &random).expect("reads it");
        assert_eq!(signer.id(), again.id());
        assert_eq!(
            HeadSigner::load_or_create(folder.path(), &MasterKey::new([2; 32]), &random).err().map(|error| error.code()),
            Some("master_key_wrong")
        );
        let log = HeadLog::open(folder.path(), &signer).expect("opens");
        let head = |position| signer.sign(TenantId::OPERATOR, Position { position, hash: "00".repeat(32) }, clock.now());
        log.append(&[head(1), head(2)]).expect("appends");
        let read = Heads::read(folder.path()).expect("reads");
        assert_eq!((read.of(TenantId::OPERATOR).len(), read.problems.len()), (2, 0));

        let month = clock.now().to_string().chars().take(7).collect::<String>();
        let file = folder.path().join(format!("heads-{month}.jsonl"));
        let text = std::fs::read_to_string(&file).expect("is there");
        let changed = text.replacen("\"position\":2", "\"position\":3", 1);
        std::fs::write(&file, format!("{changed}{{\"ten")).expect("half a line");
        let read = Heads::read(folder.path()).expect("reads");
        assert_eq!((read.of(TenantId::OPERATOR).len(), read.problems.len(), read.incomplete.len()), (1, 1, 1));
        log.append(&[head(4)]).expect("goes on");
        let read = Heads::read(folder.path()).expect("reads");
        let positions: Vec<i64> = read.of(TenantId::OPERATOR).iter().map(|head| head.head.position).collect();
        assert_eq!((positions, read.problems.len(), read.incomplete.len()), (vec![1, 4], 1, 0));
        assert!(read.problems[0].contains("line 2: was changed"), "{:?}", read.problems);
        std::fs::remove_file(folder.path().join(format!("key-{}.pem", signer.id()))).expect("is there");
        assert_eq!(Heads::read(folder.path()).expect("reads").of(TenantId::OPERATOR).len(), 0, "nothing is believed without a key");
    }
}
