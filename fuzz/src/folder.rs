//! A telemetry folder with logs, segments, side indexes and a manifest, of which one file can be replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use steward_base::{Clock, Random, RecordId, TenantId, Timestamp};
use steward_telemetry::{AttributeValue, LogBatch, LogFields, LogQuery, Options, Severity, Telemetry};
use tokio::runtime::Runtime;

/// Files by their path in the folder, in the order of their names.
pub type Files = Vec<(PathBuf, Vec<u8>)>;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

fn tenant() -> TenantId {
    RecordId::from_bytes([1; 16]).into()
}

fn options(folder: &Path) -> Options {
    Options { wal_file_bytes: 16 << 10, ..Options::new(folder) }
}

fn batch(from: i64) -> LogBatch {
    let mut batch = LogBatch::new();
    for number in from..from + 8 {
        let time = Timestamp::from_micros(1_760_000_000_000_000 + number);
        batch.attribute("http.status", AttributeValue::Int(200 + number % 3));
        let message = format!("line {number} of a log");
        let fields =
            LogFields { time, observed_time: time, severity: Severity::INFO, service: "app", message: &message, ..LogFields::default() };
        batch.push(&fields);
    }
    batch
}

/// A whole folder: some rows in segments, some in the write-ahead log only.
pub fn template() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        runtime().block_on(async {
            let telemetry = Telemetry::open(options(folder.path()), Clock::system(), Random::seeded(7)).await.expect("opens");
            for from in [0, 8] {
                telemetry.append_logs(tenant(), None, batch(from)).await.expect("stored");
                telemetry.flush().await.expect("flushed");
            }
            telemetry.append_logs(tenant(), None, batch(16)).await.expect("stored");
        });
        let mut files = Files::new();
        collect(folder.path(), folder.path(), &mut files);
        files.sort();
        files
    })
}

fn collect(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).expect("reads") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let bytes = fs::read(&path).expect("reads");
            files.push((path.strip_prefix(root).expect("is below it").to_owned(), bytes));
        }
    }
}

/// Opens the folder with one of its files replaced, and reads everything. It may refuse and it may miss rows; it must not panic or make
/// some up.
pub fn open_with(replaced: usize, bytes: &[u8]) {
    let files = template();
    let folder = tempfile::tempdir().expect("a folder");
    for (at, (path, original)) in files.iter().enumerate() {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        fs::write(path, if at == replaced % files.len() { bytes } else { original }).expect("written");
    }
    runtime().block_on(async {
        let Ok(telemetry) = Telemetry::open(options(folder.path()), Clock::system(), Random::seeded(7)).await else { return };
        let _ = telemetry.logs(tenant(), LogQuery { limit: 100, ..LogQuery::default() }).await;
        let _ = telemetry.maintain().await;
        let _ = telemetry.close().await;
    });
}
