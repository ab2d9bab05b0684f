//! The audit trail outside the database: signed while the server runs, held against the database by `steward audit verify`.

use std::path::Path;

use crate::support::{Served, bootstrapped, run};

/// Exit code and what was printed.
fn verify(data: &Path, more: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["audit", "verify", "--data", data.to_str().expect("is text")], more].concat();
    let output = run(&arguments, "");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn what_was_signed_is_missed_when_it_is_gone() {
    let data = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::tempdir().expect("another folder");
    bootstrapped(data.path());
    let (code, said) = verify(data.path(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no head of it is signed"), "{said}");

    let copy = elsewhere.path().display().to_string();
    let served = Served::start_with(data.path(), &[], &[("STEWARD_AUDIT_COPY_DIR", copy.clone())]);
    let (code, said) = verify(data.path(), &["--tenant", "acme"]);
    assert_eq!(code, Some(0), "while it runs: {said}");
    assert_eq!(served.terminate().code(), Some(0));
    for heads in [vec![], vec!["--heads", copy.as_str()]] {
        let (code, said) = verify(data.path(), &heads);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("acme: ") && said.contains("signed heads hold") && said.ends_with("The audit trail holds.\n"), "{said}");
    }
    assert_eq!(verify(data.path(), &["--tenant", "nobody"]).0, Some(3));

    // Somebody removes the database of a tenant.
    let tenants = data.path().join("records").join("tenants");
    for entry in std::fs::read_dir(&tenants).expect("lists") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("is removed");
    }
    let (code, said) = verify(data.path(), &["--heads", copy.as_str()]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("acme: DOES NOT HOLD") && said.ends_with("The audit trail DOES NOT HOLD.\n"), "{said}");
}
