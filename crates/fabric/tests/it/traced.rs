//! A child of this test under `strace`: every call with which it changed a folder, in order, and what it said meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file by its number: a name may move and be reused.
pub(crate) type Inode = usize;

/// What a child did to the folder, or said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    MakeFolder(PathBuf),
    RemoveFolder(PathBuf),
    Create(PathBuf, Inode),
    Link(PathBuf, Inode),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Truncate(Inode, u64),
    Write(Inode, u64, Vec<u8>),
    SyncFile(Inode),
    SyncFolder(PathBuf),
    Said(String),
}

/// What a child did.
#[derive(Debug)]
pub(crate) struct Record {
    /// As far as it was traced.
    pub(crate) acts: Vec<Act>,
    /// All that it said.
    pub(crate) said: Vec<String>,
}

const CALLS: &str =
    "openat,write,pwrite64,lseek,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir";

/// Runs the ignored test `child` of this binary under `strace`, once per life, with more options each. None where that is not allowed.
pub(crate) fn run(child: &str, dir: &Path, lives: &[&[&str]]) -> Option<Record> {
    let mut reader = Reader::new(dir);
    let mut said = Vec::new();
    for options in lives {
        let (text, lines) = life(child, dir, options)?;
        reader.read(&text);
        said.extend(lines);
    }
    Some(Record { acts: reader.acts, said })
}

/// The log of one life, and what the child said.
fn life(child: &str, dir: &Path, options: &[&str]) -> Option<(String, Vec<String>)> {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let outcome = Command::new("strace")
        .args(["-f", "-qq", "-xx", "-s", "33554432", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(log.path())
        .args(options)
        .arg(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", child, "--nocapture", "--test-threads", "1"])
        .env(FOLDER, dir)
        .stdin(Stdio::null())
        .output();
    let Ok(outcome) = outcome else {
        eprintln!("strace is not installed: what a power cut leaves was not looked at");
        return None;
    };
    let said = String::from_utf8_lossy(&outcome.stderr);
    if said.contains("PTRACE") || said.contains("ptrace(") {
        eprintln!("this user may not trace: what a power cut leaves was not looked at");
        return None;
    }
    let killed = options.iter().any(|option| option.contains("SIGKILL"));
    assert!(killed || outcome.status.success(), "{said}{}", String::from_utf8_lossy(&outcome.stdout));
    let text = std::fs::read_to_string(log.path()).expect("is read");
    // The first line stands behind the runner's own words.
    let lines =
        String::from_utf8_lossy(&outcome.stdout).lines().map(|line| line.rsplit("... ").next().unwrap_or(line).to_owned()).collect();
    Some((text, lines))
}

const FOLDER: &str = "STEWARD_TRACED_FOLDER";

/// The folder that a child was given; alone it has nothing to do.
#[expect(clippy::disallowed_methods, reason = "a child is told by the test that starts it")]
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Says a line in one call, for the record.
pub(crate) fn say(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).expect("somebody listens");
}

/// What an open file is, and where the next write goes.
#[derive(Clone)]
enum Open {
    File {
        inode: Inode,
        at: u64,
    },
    /// Every write goes to its end.
    Log(Inode),
    Folder(PathBuf),
}

struct Reader<'a> {
    root: &'a Path,
    names: HashMap<PathBuf, Inode>,
    open: HashMap<i64, Open>,
    lengths: HashMap<Inode, u64>,
    inodes: usize,
    acts: Vec<Act>,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Path) -> Self {
        Self { root, names: HashMap::new(), open: HashMap::new(), lengths: HashMap::new(), inodes: 0, acts: Vec::new() }
    }

    fn read(&mut self, text: &str) {
        self.open.clear();
        let mut begun: HashMap<&str, &str> = HashMap::new();
        for line in text.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            if let Some(beginning) = call.strip_suffix(" <unfinished ...>") {
                begun.insert(thread, beginning);
            } else if let Some((_, end)) = call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
                let whole = format!("{}{end}", begun.remove(thread).unwrap_or_default());
                self.call(&whole);
            } else {
                self.call(call);
            }
        }
    }

    fn call(&mut self, call: &str) {
        let Some((name, rest)) = call.split_once('(') else { return };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { return };
        let arguments: Vec<&str> = arguments.trim_end().trim_end_matches(')').split(", ").collect();
        let Ok(result) = result.split(' ').next().unwrap_or_default().parse::<i64>() else { return };
        if result < 0 {
            return;
        }
        self.done(name, &arguments, result);
    }

    fn done(&mut self, name: &str, arguments: &[&str], result: i64) {
        match (name, arguments) {
            ("openat", [folder, path, flags, ..]) => self.opened(self.path(Some(folder), path), flags, result),
            ("write", [file, bytes, ..]) => self.wrote(number(file), &text(bytes)[..result as usize], None),
            ("pwrite64", [file, bytes, _, at]) => self.wrote(number(file), &text(bytes)[..result as usize], Some(number(at) as u64)),
            ("lseek", [file, ..]) => {
                if let Some(Open::File { at, .. }) = self.open.get_mut(&number(file)) {
                    *at = result as u64;
                }
            }
            ("ftruncate", [file, length]) => {
                if let Some(Open::File { inode, .. } | Open::Log(inode)) = self.open.get(&number(file)) {
                    self.lengths.insert(*inode, number(length) as u64);
                    self.acts.push(Act::Truncate(*inode, number(length) as u64));
                }
            }
            ("fsync" | "fdatasync", [file]) => match self.open.get(&number(file)) {
                Some(Open::File { inode, .. } | Open::Log(inode)) => self.acts.push(Act::SyncFile(*inode)),
                Some(Open::Folder(path)) => self.acts.push(Act::SyncFolder(path.clone())),
                None => {}
            },
            ("rename", [from, to]) => self.renamed(self.path(None, from), self.path(None, to)),
            ("renameat" | "renameat2", [a, from, b, to, ..]) => self.renamed(self.path(Some(a), from), self.path(Some(b), to)),
            ("link", [from, to]) => self.linked(self.path(None, from), self.path(None, to)),
            ("linkat", [a, from, b, to, ..]) => self.linked(self.path(Some(a), from), self.path(Some(b), to)),
            ("unlink", [path]) => self.removed(self.path(None, path)),
            ("unlinkat", [folder, path, flags]) if flags.contains("AT_REMOVEDIR") => self.folder_gone(self.path(Some(folder), path)),
            ("unlinkat", [folder, path, _]) => self.removed(self.path(Some(folder), path)),
            ("rmdir", [path]) => self.folder_gone(self.path(None, path)),
            ("mkdir", [path, _]) => self.folder_made(self.path(None, path)),
            ("mkdirat", [folder, path, _]) => self.folder_made(self.path(Some(folder), path)),
            _ => {}
        }
    }

    /// A path below the root; others are none of ours.
    fn path(&self, folder: Option<&&str>, path: &str) -> Option<PathBuf> {
        let path = PathBuf::from(String::from_utf8(text(path)).ok()?);
        let whole = match folder.map(|folder| self.open.get(&number(folder))) {
            Some(Some(Open::Folder(folder))) => folder.join(path),
            _ => path,
        };
        whole.starts_with(self.root).then_some(whole)
    }

    fn opened(&mut self, path: Option<PathBuf>, flags: &str, file: i64) {
        let Some(path) = path else {
            self.open.remove(&file);
            return;
        };
        let known = self.names.get(&path).copied();
        let inode = match known {
            Some(inode) => inode,
            None if flags.contains("O_CREAT") => {
                self.inodes += 1;
                self.names.insert(path.clone(), self.inodes);
                self.acts.push(Act::Create(path, self.inodes));
                self.inodes
            }
            None => {
                self.open.insert(file, Open::Folder(path));
                return;
            }
        };
        if known.is_some() && flags.contains("O_TRUNC") {
            self.lengths.insert(inode, 0);
            self.acts.push(Act::Truncate(inode, 0));
        }
        let open = if flags.contains("O_APPEND") { Open::Log(inode) } else { Open::File { inode, at: 0 } };
        self.open.insert(file, open);
    }

    fn wrote(&mut self, file: i64, bytes: &[u8], place: Option<u64>) {
        if file == 1 {
            let said = String::from_utf8_lossy(bytes);
            self.acts.extend(said.lines().map(|line| Act::Said(line.to_owned())));
            return;
        }
        let (inode, at) = match self.open.get_mut(&file) {
            Some(Open::File { inode, at }) => {
                let begin = place.unwrap_or(*at);
                if place.is_none() {
                    *at += bytes.len() as u64;
                }
                (*inode, begin)
            }
            Some(Open::Log(inode)) => (*inode, self.lengths.get(inode).copied().unwrap_or_default()),
            _ => return,
        };
        let length = self.lengths.entry(inode).or_default();
        *length = (*length).max(at + bytes.len() as u64);
        self.acts.push(Act::Write(inode, at, bytes.to_vec()));
    }

    fn renamed(&mut self, from: Option<PathBuf>, to: Option<PathBuf>) {
        let (Some(from), Some(to)) = (from, to) else { return };
        if let Some(inode) = self.names.remove(&from) {
            self.names.insert(to.clone(), inode);
        }
        self.acts.push(Act::Rename(from, to));
    }

    fn linked(&mut self, from: Option<PathBuf>, to: Option<PathBuf>) {
        let (Some(from), Some(to)) = (from, to) else { return };
        if let Some(inode) = self.names.get(&from).copied() {
            self.names.insert(to.clone(), inode);
            self.acts.push(Act::Link(to, inode));
        }
    }

    fn removed(&mut self, path: Option<PathBuf>) {
        if let Some(path) = path {
            self.names.remove(&path);
            self.acts.push(Act::Remove(path));
        }
    }

    fn folder_made(&mut self, path: Option<PathBuf>) {
        self.acts.extend(path.map(Act::MakeFolder));
    }

    fn folder_gone(&mut self, path: Option<PathBuf>) {
        self.acts.extend(path.map(Act::RemoveFolder));
    }
}

fn number(argument: &str) -> i64 {
    argument.trim().parse().unwrap_or(-1)
}

/// The bytes of a string in hexadecimal escapes.
fn text(argument: &str) -> Vec<u8> {
    let digits = argument.trim().trim_matches('"').as_bytes();
    let digit = |digit: u8| (digit as char).to_digit(16).expect("a hexadecimal digit") as u8;
    digits.chunks_exact(4).map(|escape| digit(escape[2]) << 4 | digit(escape[3])).collect()
}
