//! A move whose outcome nobody knows, since control went away at the very moment of the switch: when control is back, or after the process was
//! killed, the tenant has one owner and everything that was answered.
//!
//! The process that moves is one of its own, whose way to control leads through this one.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use steward_base::{Clock, Random, RecordId, Secret, TenantId};
use steward_store::{Backend, Layout, Place, UnitOfWork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::elsewhere::{BLOCKED, Database, connect};
use crate::support::{Thing, ctx, everything, kinds, reopened, until};

const CONTROL: &str = "STEWARD_TEST_CONTROL";
const DIRECT: &str = "STEWARD_TEST_DIRECT";
const FOLDER: &str = "STEWARD_TEST_FOLDER";
const TENANT: &str = "STEWARD_TEST_TENANT";
const WAY: &str = "STEWARD_TEST_WAY";

/// Where control goes away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// Before it is told of the new place.
    Before,
    /// After it noted it, before it says so.
    After,
    /// The note is on its way for longer than the connection lives.
    Late,
}

/// Control is at home; the tenant goes from one of the other places to the other.
fn places(control: &str, direct: &str, dir: &Path, newcomers: &str) -> Backend {
    let server = |url: &str| Backend::Postgres { url: Secret::new(url.to_owned()), connections: 6 };
    let place = |name: &str, backend, layout| Place { name: name.into(), backend, layout };
    let places = vec![
        place("home", server(control), Layout::Dedicated),
        place("server", server(direct), Layout::Shared),
        place("folder", Backend::Sqlite { dir: dir.to_owned() }, Layout::Dedicated),
    ];
    Backend::Places { places, newcomers: newcomers.into() }
}

/// The way to control, which is cut when somebody is about to note a new place of a tenant beside what is left behind.
struct Gate {
    port: u16,
    state: Arc<State>,
}

struct State {
    server: String,
    names: [Vec<u8>; 2],
    cut: Cut,
    open: watch::Sender<bool>,
    /// It has been cut: from then on nothing is.
    done: watch::Sender<bool>,
    refused: AtomicUsize,
    /// What is still to arrive at the server.
    held: Mutex<Option<(TcpStream, Vec<u8>)>>,
}

impl Gate {
    async fn to(server: String, tenant: TenantId, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let names = ["place:", "stray:"].map(|name| format!("{name}{tenant}").into_bytes());
        let (open, done) = (watch::Sender::new(true), watch::Sender::new(false));
        let state = Arc::new(State { server, names, cut, open, done, refused: AtomicUsize::new(0), held: Mutex::default() });
        let own = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *own.open.borrow() {
                    tokio::spawn(carry(own.clone(), client));
                } else {
                    own.refused.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { port, state }
    }

    /// Waits until it was cut and somebody asked in vain.
    async fn is_cut(&self) {
        until(async || *self.state.done.borrow() && (*self.state.open.borrow() || self.state.refused.load(Ordering::SeqCst) >= 2)).await;
    }

    /// What was held arrives, and whoever comes gets through.
    async fn opens(&self) {
        let held = self.state.held.lock().take();
        if let Some((mut server, bytes)) = held {
            server.write_all(&bytes).await.expect("arrives");
            let (mut answer, mut count) = (vec![0; 64 * 1024], 0);
            while !says(&answer[..count], b"COMMIT") {
                count = tokio::time::timeout(Duration::from_secs(20), server.read(&mut answer)).await.expect("answers").expect("reads");
                assert!(count > 0, "the server ended it");
            }
        }
        self.state.open.send_replace(true);
    }
}

impl State {
    /// Ends every connection. In place of going away altogether, control may have lost only one.
    fn cut(&self) {
        self.open.send_replace(self.cut == Cut::Late);
        self.done.send_replace(true);
    }

    fn is_note(&self, said: &[u8]) -> bool {
        !*self.done.borrow() && self.names.iter().all(|name| says(said, name))
    }
}

/// Carries one connection until it ends or is cut.
async fn carry(state: Arc<State>, mut client: TcpStream) {
    let mut server = TcpStream::connect(&state.server).await.expect("connects");
    let (mut open, mut asked, mut answered) = (state.open.subscribe(), vec![0; 64 * 1024], vec![0; 64 * 1024]);
    // What the transaction said that is under way.
    let mut said = Vec::new();
    loop {
        tokio::select! {
            // What is lent by the sender must not be held over what follows.
            () = async { drop(open.wait_for(|open| !open).await) } => return,
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                if says(&asked[..count], b"BEGIN") {
                    said.clear();
                    said.extend_from_slice(&asked[..count]);
                } else if !said.is_empty() {
                    said.extend_from_slice(&asked[..count]);
                }
                let is_note = state.is_note(&said);
                if is_note && state.cut == Cut::Before {
                    return state.cut();
                }
                if is_note && state.cut == Cut::Late && says(&asked[..count], b"COMMIT") {
                    *state.held.lock() = Some((server, asked[..count].to_vec()));
                    return state.cut();
                }
                if server.write_all(&asked[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if says(&answered[..count], b"COMMIT") {
                    if state.cut == Cut::After && state.is_note(&said) {
                        return state.cut();
                    }
                    said.clear();
                }
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn says(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// Not a test of its own: the other one starts it as a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the mover of the test below"]
#[expect(clippy::disallowed_methods, reason = "what it is to do comes from the process that started this one")]
async fn mover() {
    let told = |name: &str| std::env::var(name).expect("is told");
    let (dir, way) = (PathBuf::from(told(FOLDER)), told(WAY));
    let (from, to) = way.split_once(' ').expect("names two places");
    let tenant: TenantId = told(TENANT).parse().expect("is one");
    let store = reopened(places(&told(CONTROL), &told(DIRECT), &dir, from), kinds()).await;
    store.provision(tenant).await.expect("provisions");
    let say = |word: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{word}").and_then(|()| out.flush()).expect("is read");
    };
    let (acked, mut enough) = watch::channel(0_usize);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, acked) = (store.clone(), acked.clone());
        tasks.spawn(async move {
            loop {
                let id = store.mint_id();
                match store.commit(&ctx(tenant), UnitOfWork::new().create(id, &Thing::named("x"))).await {
                    Ok(_) => {
                        say(&format!("acked {}", id.wire("thg")));
                        acked.send_modify(|count| *count += 1);
                    }
                    Err(error) => {
                        say(&format!("refused {} {}", id.wire("thg"), error.code()));
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
        });
    }
    enough.wait_for(|count| *count >= 20).await.expect("somebody writes");
    let moved = store.relocate(tenant, to).await;
    say(&format!("decided {}", moved.map_or_else(|error| error.code().to_owned(), |_| "moved".to_owned())));
    tasks.join_next().await;
}

/// The process that moves, and what it said.
struct Mover {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Mover {
    fn start(control: &str, direct: &str, dir: &Path, (tenant, way): (TenantId, (&str, &str))) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("is a file"))
            .args(["--exact", "moves_undecided::mover", "--ignored", "--nocapture"])
            .env(CONTROL, control)
            .env(DIRECT, direct)
            .env(FOLDER, dir)
            .env(TENANT, tenant.to_string())
            .env(WAY, format!("{} {}", way.0, way.1))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (out, heard) = (child.stdout.take().expect("is piped"), lines.clone());
        std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).for_each(|line| heard.lock().push(line)));
        Self { child, lines }
    }

    /// The ids behind a word, in the order in which they were said.
    fn ids(&self, word: &str) -> Vec<RecordId> {
        let id = |line: &String| RecordId::parse("thg", line.strip_prefix(word)?.split(' ').next()?);
        self.lines.lock().iter().filter_map(id).collect()
    }

    fn decided(&self) -> Option<String> {
        self.lines.lock().iter().find_map(|line| line.strip_prefix("decided ").map(str::to_owned))
    }

    /// Everything that was said is heard.
    async fn kill(&mut self) {
        self.child.kill().expect("is killed");
        self.child.wait().expect("is gone");
        // The reader lets go of it at the end.
        until(async || Arc::strong_count(&self.lines) == 1).await;
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        // It is gone already unless the test failed.
        let _ = self.child.kill();
    }
}

async fn one_owner(cut: Cut, back: bool, way: (&str, &str)) {
    let Some(database) = Database::make().await else { return };
    let case = format!("{cut:?}, {}, from {} to {}", if back { "control comes back" } else { "killed first" }, way.0, way.1);
    let dir = tempfile::tempdir().expect("a folder");
    let tenant = TenantId::new(&Clock::system(), &Random::system());
    let (before, rest) = database.url.rsplit_once('@').expect("names a user");
    let (server, name) = rest.split_once('/').expect("names a database");
    let gate = Gate::to(server.to_owned(), tenant, cut).await;
    let control = format!("{before}@127.0.0.1:{}/{name}", gate.port);
    let mut mover = Mover::start(&control, &database.url, dir.path(), (tenant, way));
    gate.is_cut().await;
    if cut == Cut::Late {
        // Whoever wants to know waits for it, or has made up its mind too early.
        let watcher = connect(&database.url).await;
        until(async || mover.decided().is_some() || !watcher.query(BLOCKED, &[]).await.expect("asks").is_empty()).await;
    }
    if !back {
        mover.kill().await;
    }
    gate.opens().await;
    if back {
        until(async || mover.decided().is_some()).await;
        let more = mover.ids("acked ").len() + 20;
        until(async || mover.ids("acked ").len() >= more).await;
        mover.kill().await;
    }
    let expected = if cut == Cut::Before { way.0 } else { way.1 };

    let store = reopened(places(&database.url, &database.url, dir.path(), way.0), kinds()).await;
    let its = ctx(tenant);
    assert_eq!(store.place(tenant).await.expect("is known").as_deref(), Some(expected), "{case}: {:?}", mover.decided());
    let found = everything(&store, &its).await;
    let acked: BTreeSet<RecordId> = mover.ids("acked ").into_iter().collect();
    assert!(acked.len() >= 20 && acked.is_subset(&found), "{case}: {:?} were answered and are gone", acked.difference(&found));
    assert_eq!(store.verify_chain(&its).await.expect("holds"), found.len() as i64, "{case}: one event per record");
    store.commit(&its, UnitOfWork::new().create(store.mint_id(), &Thing::named("after"))).await.expect("goes on");
    // One copy is left, and it is the one that control notes.
    let file = dir.path().join("tenants").join(format!("{tenant}.db")).exists();
    let uuid = tenant.record().uuid();
    let rows = database.client.query("SELECT 1 FROM tenants.record WHERE tenant = $1", &[&uuid]).await.expect("asks");
    let rows = !rows.is_empty();
    assert_eq!((file, rows), (expected == "folder", expected == "server"), "{case}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn control_that_goes_away_at_the_switch_and_comes_back_finds_one_owner() {
    for (cut, way) in [
        (Cut::Before, ("server", "folder")),
        (Cut::After, ("server", "folder")),
        (Cut::Before, ("folder", "server")),
        (Cut::After, ("folder", "server")),
    ] {
        one_owner(cut, true, way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_that_is_killed_before_control_is_back_leaves_one_owner() {
    for (cut, way) in [
        (Cut::Before, ("server", "folder")),
        (Cut::After, ("server", "folder")),
        (Cut::Before, ("folder", "server")),
        (Cut::After, ("folder", "server")),
    ] {
        one_owner(cut, false, way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_note_that_arrives_after_its_connection_was_lost_is_waited_for() {
    one_owner(Cut::Late, true, ("server", "folder")).await;
    one_owner(Cut::Late, false, ("folder", "server")).await;
}
