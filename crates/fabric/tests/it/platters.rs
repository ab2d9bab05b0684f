//! What a disk holds after a power cut: what was synced, and of the rest whatever chance left of it.
//!
//! Harsher than file systems are: every change of a name that its folder's sync did not cover is kept or lost by itself, and of every write that
//! its file's sync did not cover each sector. What is missing before what arrived reads as zeros, as in a file system.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use steward_base::Random;

use crate::traced::{Act, Inode};

const SECTOR: usize = 512;

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// What happened to the bytes of a file.
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// A name that comes or goes.
enum Naming {
    Name(PathBuf, Inode),
    Move(PathBuf, PathBuf, Inode),
    Unname(PathBuf),
    Folder(PathBuf),
    NoFolder(PathBuf),
}

#[derive(Default)]
struct Names {
    files: BTreeMap<PathBuf, Inode>,
    folders: BTreeSet<PathBuf>,
}

impl Names {
    fn apply(&mut self, naming: &Naming) {
        match naming {
            Naming::Name(path, inode) => {
                self.files.insert(path.clone(), *inode);
            }
            Naming::Move(from, to, inode) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *inode);
            }
            Naming::Unname(path) => {
                self.files.remove(path);
            }
            Naming::Folder(path) => {
                self.folders.insert(path.clone());
            }
            Naming::NoFolder(path) => {
                self.folders.remove(path);
                self.files.retain(|file, _| !file.starts_with(path));
            }
        }
    }
}

/// A disk on which acts were done.
#[derive(Default)]
pub(crate) struct Disk {
    files: HashMap<Inode, File>,
    durable: Names,
    pending: Vec<Naming>,
    /// As the machine sees them.
    running: HashMap<PathBuf, Inode>,
}

impl Disk {
    pub(crate) fn take(&mut self, act: &Act) {
        match act {
            Act::Create(path, inode) | Act::Link(path, inode) => {
                self.files.entry(*inode).or_default();
                self.running.insert(path.clone(), *inode);
                self.pending.push(Naming::Name(path.clone(), *inode));
            }
            Act::Rename(from, to) => {
                let inode = self.running.remove(from).expect("what is renamed was made before");
                self.running.insert(to.clone(), inode);
                self.pending.push(Naming::Move(from.clone(), to.clone(), inode));
            }
            Act::Remove(path) => {
                self.running.remove(path);
                self.pending.push(Naming::Unname(path.clone()));
            }
            Act::MakeFolder(path) => self.pending.push(Naming::Folder(path.clone())),
            Act::RemoveFolder(path) => self.pending.push(Naming::NoFolder(path.clone())),
            Act::Truncate(inode, length) => self.files.entry(*inode).or_default().pending.push(Change::Length(*length as usize)),
            Act::Write(inode, at, bytes) => {
                self.files.entry(*inode).or_default().pending.push(Change::Write(*at as usize, bytes.clone()));
            }
            Act::SyncFile(inode) => {
                let file = self.files.entry(*inode).or_default();
                for change in std::mem::take(&mut file.pending) {
                    match change {
                        Change::Write(at, bytes) => put(&mut file.durable, at, &bytes),
                        Change::Length(length) => file.durable.resize(length, 0),
                    }
                }
            }
            Act::SyncFolder(folder) => {
                let covered: Vec<Naming> = self.pending.extract_if(.., |naming| inside(naming, folder)).collect();
                covered.iter().for_each(|naming| self.durable.apply(naming));
            }
            Act::Said(_) => {}
        }
    }

    /// Writes into the folder `to` what is left of the folder `from` after a cut now.
    pub(crate) fn cut(&self, from: &Path, to: &Path, random: &Random) {
        let mut names = Names { files: self.durable.files.clone(), folders: self.durable.folders.clone() };
        self.pending.iter().filter(|_| coin(random)).for_each(|naming| names.apply(naming));
        let place = |path: &Path| to.join(path.strip_prefix(from).expect("is below the root"));
        for folder in &names.folders {
            if reachable(folder, from, &names.folders) {
                std::fs::create_dir_all(place(folder)).expect("is made");
            }
        }
        for (path, inode) in &names.files {
            if reachable(path, from, &names.folders) {
                std::fs::write(place(path), settled(&self.files[inode], random)).expect("is written");
            }
        }
    }
}

fn inside(naming: &Naming, folder: &Path) -> bool {
    let (Naming::Name(path, _) | Naming::Move(_, path, _) | Naming::Unname(path) | Naming::Folder(path) | Naming::NoFolder(path)) = naming;
    path.parent() == Some(folder)
}

/// Whether every folder on the way has its name.
fn reachable(path: &Path, root: &Path, folders: &BTreeSet<PathBuf>) -> bool {
    path.ancestors().skip(1).take_while(|above| *above != root).all(|above| folders.contains(above))
}

fn coin(random: &Random) -> bool {
    random.below(2) == 0
}

fn put(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    if bytes.len() < at + written.len() {
        bytes.resize(at + written.len(), 0);
    }
    bytes[at..at + written.len()].copy_from_slice(written);
}

/// Of each unsynced write, every sector reached the disk or did not; so did each change of the length.
fn settled(file: &File, random: &Random) -> Vec<u8> {
    let mut bytes = file.durable.clone();
    for change in &file.pending {
        if coin(random) {
            continue;
        }
        let (at, written) = match change {
            Change::Write(at, written) => (*at, written),
            Change::Length(length) => {
                bytes.resize(*length, 0);
                continue;
            }
        };
        let torn = coin(random);
        for (number, sector) in written.chunks(SECTOR).enumerate() {
            if !torn || coin(random) {
                put(&mut bytes, at + number * SECTOR, sector);
            }
        }
    }
    bytes
}
