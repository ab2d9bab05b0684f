//! The command line that scripts and containers rely on.

use crate::support::{OWNER, PASSWORD, Served, bootstrapped, run, succeed};

#[tokio::test]
async fn a_key_made_on_the_machine_works_while_the_server_runs_and_while_it_does_not() {
    let data = tempfile::tempdir().expect("a folder");
    let before = bootstrapped(data.path());
    let served = Served::start(data.path(), &[]);
    let folder = data.path().to_str().expect("is text");
    let during = succeed(&["admin", "api-key", "--data", folder, "--tenant", "acme", "--permissions", "projects:read,projects:write"], "");
    for key in [&before, &during] {
        assert!(key.starts_with("stw_"), "only the key is printed: {key}");
        let list = served.json(served.get(key, "/api/v1/projects")).await;
        assert_eq!(list["has_more"], false);
    }
    let denied = served.get(&during, "/api/v1/devices").send().await.expect("is answered");
    assert_eq!(denied.status(), 403);
    assert!(succeed(&["admin", "enroll-token", "--data", folder, "--tenant", "acme"], "").starts_with("ste_"));
}

#[tokio::test]
async fn sigterm_drains_and_exits_with_zero() {
    let data = tempfile::tempdir().expect("a folder");
    let key = bootstrapped(data.path());
    let served = Served::start(data.path(), &[]);
    // An open stream must not hold the server up.
    let stream = served.get(&key, "/api/v1/events/stream").send().await.expect("is answered");
    assert_eq!(stream.status(), 200);
    assert_eq!(served.terminate().code(), Some(0));
}

#[test]
fn refusals_name_what_is_wrong_and_have_fixed_exit_codes() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_str().expect("is text");
    let bootstrap = ["admin", "bootstrap", "--data", folder, "--tenant", "acme", "--owner", OWNER, "--password-stdin"];
    for (arguments, input, code, part) in [
        (&bootstrap[..], "short", 1, "12 characters"),
        (&["admin", "api-key", "--data", folder, "--tenant", "nobody", "--permissions", "a:read"], "", 3, "no such tenant"),
        (&["serve", "--data", folder, "--listen", "nowhere"], "", 2, "nowhere"),
        (&["serve", "--data", folder, "--roles", "gateway"], "", 2, "roles"),
        (&["config", "explain", "no_such_key"], "", 3, "config explain"),
    ] {
        let output = run(arguments, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "talk goes to stderr");
    }
    succeed(&bootstrap, PASSWORD);
    let again = run(&bootstrap, PASSWORD);
    assert_eq!(again.status.code(), Some(5), "{}", String::from_utf8_lossy(&again.stderr));
}

#[test]
fn two_servers_cannot_share_a_data_folder() {
    let data = tempfile::tempdir().expect("a folder");
    let served = Served::start(data.path(), &[]);
    let second = run(&["serve", "--data", data.path().to_str().expect("is text"), "--listen", "127.0.0.1:0"], "");
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("data_dir_locked"));
    drop(served);
}

#[test]
fn settings_are_shown_with_their_source() {
    let printed = succeed(&["config", "print", "--listen", "127.0.0.1:9"], "");
    assert!(printed.lines().any(|line| line.starts_with("listen = \"127.0.0.1:9\"") && line.ends_with("# flag")), "{printed}");
    assert!(printed.lines().any(|line| line.starts_with("watch = false") && line.ends_with("# default")), "{printed}");
}
