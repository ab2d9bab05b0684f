//! Tenants moved between the places of an installation while they are written to: nothing is lost, and places that are not there are refused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::database::{database, psql};
use crate::ledger::{Load, agree, assert_positions_are_gapless, pages};
use crate::outages::comes_to;
use crate::support::{OWNER, PASSWORD, Served, bootstrapped, eventually, run, succeed};

/// What a write may be refused with while its tenant is moved.
const EXCUSES: [&str; 1] = ["tenant_moved"];

async fn move_to(served: &Served, operator: &str, tenant: &str, (from, to): (&str, &str)) {
    let asked = served.post(operator, &format!("/api/v1/tenants/{tenant}/move")).json(&json!({ "place": to }));
    let begun = served.json(asked).await;
    assert_eq!((&begun["from"], &begun["to"]), (&json!(from), &json!(to)));
    let saga = begun["saga"].as_str().expect("an id").to_owned();
    eventually("the end of the move", Duration::from_secs(120), async || {
        let saga: Value = served.json(served.get(operator, &format!("/api/v1/sagas/{saga}"))).await;
        assert!(saga["state"] != "parked" && saga["state"] != "undone", "{saga}");
        (saga["state"] == "done").then_some(())
    })
    .await;
    let place = served.json(served.get(operator, &format!("/api/v1/tenants/{tenant}/place"))).await;
    assert_eq!(place["place"], to);
}

async fn there_and_back(place: &str) {
    let data = tempfile::tempdir().expect("a folder");
    let config = data.path().join("steward.toml");
    std::fs::write(&config, format!("places = [{place}]\n")).expect("is written");
    let (folder, config) = (data.path().to_str().expect("is text"), config.to_str().expect("is text"));
    let key = bootstrapped(data.path());
    let operator = ["admin", "api-key", "--data", folder, "--tenant", "operator", "--permissions", "tenants:*,admin:*"];
    let operator = succeed(&operator, "");
    let served = Served::start(data.path(), &["--config", config]);
    let tenants = served.json(served.get(&operator, "/api/v1/tenants?filter=slug:acme")).await;
    let tenant = tenants["data"][0]["id"].as_str().expect("an id").to_owned();

    let load = Load::begin(&served, &key, &EXCUSES);
    for way in [("home", "beside"), ("beside", "home"), ("home", "beside")] {
        load.goes_on(way.0).await;
        move_to(&served, &operator, &tenant, way).await;
    }
    let sent = load.end().await;
    let read = async |served: &Served| {
        agree("records", &sent, &pages(served, &key, "/api/v1/projects?limit=500", "name").await);
        assert_positions_are_gapless(served, &key).await;
    };
    read(&served).await;

    for (place, status, code) in [("nowhere", 422, "place_unknown"), ("", 422, "")] {
        let asked = served.post(&operator, &format!("/api/v1/tenants/{tenant}/move")).json(&json!({ "place": place }));
        let answer = asked.send().await.expect("is answered");
        assert_eq!(answer.status().as_u16(), status);
        let problem: Value = answer.json().await.expect("is a problem");
        assert!(code.is_empty() || problem["code"] == code, "{problem}");
    }
    assert!(served.terminate().success());

    // It stays there over a start, and a start without the place says so.
    let served = Served::start(data.path(), &["--config", config]);
    read(&served).await;
    assert!(served.terminate().success());
    let served = Served::start(data.path(), &[]);
    let away = served.get(&key, "/api/v1/projects").send().await.expect("is answered");
    assert_eq!((away.status().as_u16(), away.json::<Value>().await.expect("is a problem")["code"].clone()), (503, json!("place_missing")));
    assert!(served.terminate().success());

    // The command line moves it while no server runs, too, and while one does.
    let moved = ["admin", "tenant", "move", "--config", config, "--data", folder, "--tenant", "acme", "--to"];
    succeed(&[&moved[..], &["home"]].concat(), "");
    let served = Served::start(data.path(), &["--config", config]);
    read(&served).await;
    succeed(&[&moved[..], &["beside"]].concat(), "");
    read(&served).await;
    let told = served.json(served.get(&operator, "/api/v1/events?limit=500&filter=type%20%3D%20%22tenant.moved%22")).await;
    let told: Vec<&Value> = told["data"].as_array().expect("a list").iter().map(|event| &event["data"]["place"]).collect();
    assert_eq!(told, ["beside", "home", "beside", "home", "beside"], "each move is told, also the one without a server");
    let unknown = run(&[&moved[..], &["nowhere"]].concat(), "");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("place_unknown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_moves_to_another_folder_and_back_while_it_is_written_to() {
    let beside = tempfile::tempdir().expect("a folder");
    there_and_back(&format!("{{ name = \"beside\", folder = \"{}\" }}", beside.path().display())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_moves_to_a_shared_schema_and_back_while_it_is_written_to() {
    let Some(database) = database("places").await else { return };
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), &database.url).expect("is written");
    let file = secret.path().display();
    there_and_back(&format!("{{ name = \"beside\", database_url_file = \"{file}\", layout = \"shared\" }}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_away_is_told_to_its_tenants_and_noticed_by_nobody_else() {
    let Some(database) = database("away").await else { return };
    let (server, _) = database.url.rsplit_once("/away_").expect("is named");
    let options = database.url.split_once('?').expect("has options").1;
    let (maintenance, name) = (format!("{server}/postgres?{options}"), format!("away_{}", std::process::id()));
    let allow = |yes: bool| psql(&maintenance, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {yes}")).expect("is altered");
    let data = tempfile::tempdir().expect("a folder");
    let (config, secret) = (data.path().join("steward.toml"), data.path().join("database"));
    std::fs::write(&secret, &database.url).expect("is written");
    let place = format!("places = [{{ name = \"beside\", database_url_file = \"{}\" }}]\n", secret.display());
    std::fs::write(&config, place).expect("is written");
    let (folder, config) = (data.path().to_str().expect("is text"), config.to_str().expect("is text"));
    let acme = bootstrapped(data.path());
    let key = |tenant: &str, permissions: &str| {
        succeed(&["admin", "api-key", "--config", config, "--data", folder, "--tenant", tenant, "--permissions", permissions], "")
    };
    let operator = key("operator", "tenants:*,admin:*");
    let served = Served::start(data.path(), &["--config", config]);
    served.json(served.post(&acme, "/api/v1/projects").json(&json!({ "name": "Kept" }))).await;
    served.json(served.post(&operator, "/api/v1/tenants").json(&json!({ "name": "Beta", "slug": "beta" }))).await;
    let beta = key("beta", "admin:*");
    let tenants = served.json(served.get(&operator, "/api/v1/tenants?filter=slug:acme")).await;
    move_to(&served, &operator, tenants["data"][0]["id"].as_str().expect("an id"), ("home", "beside")).await;

    let load = Load::begin(&served, &beta, &[]);
    load.goes_on("before").await;
    allow(false);
    psql(&maintenance, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).expect("ends them");
    comes_to(&served, "places", "down").await;
    for _ in 0..3 {
        let asked = [
            served.get(&acme, "/api/v1/projects"),
            served.post(&acme, "/api/v1/projects").json(&json!({ "name": "Refused" })),
            served
                .client
                .post(format!("{}/auth/login", served.url))
                .json(&json!({ "email": OWNER, "password": PASSWORD, "tenant": "acme" })),
        ];
        for asked in asked {
            let answer = asked.send().await.expect("is answered");
            assert!(answer.headers().contains_key("retry-after"));
            let status = answer.status().as_u16();
            let problem: Value = answer.json().await.expect("is a problem");
            assert_eq!((status, &problem["code"]), (503, &json!("database_unavailable")), "{problem}");
        }
        load.goes_on("meanwhile").await;
    }
    assert_eq!(served.client.get(format!("{}/readyz", served.url)).send().await.expect("is answered").status(), 200);
    served.json(served.post(&operator, "/api/v1/tenants").json(&json!({ "name": "Gamma", "slug": "gamma" }))).await;
    let sent = load.end().await;

    // A start does not wait for it either.
    assert!(served.terminate().success());
    let served = Served::start(data.path(), &["--config", config]);
    agree("records", &sent, &pages(&served, &beta, "/api/v1/projects?limit=500", "name").await);
    assert_eq!(served.get(&acme, "/api/v1/projects").send().await.expect("is answered").status(), 503);
    allow(true);
    comes_to(&served, "places", "ready").await;
    let names = pages(&served, &acme, "/api/v1/projects?limit=500", "name").await;
    assert_eq!(names.into_keys().collect::<Vec<_>>(), ["Kept"]);
    served.json(served.post(&acme, "/api/v1/projects").json(&json!({ "name": "After" }))).await;
    assert_positions_are_gapless(&served, &beta).await;
    assert!(served.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tenants_are_put_where_the_settings_say() {
    let (data, beside) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let config = data.path().join("steward.toml");
    let places = format!("places = [{{ name = \"beside\", folder = \"{}\" }}]\nnewcomers = \"beside\"\n", beside.path().display());
    std::fs::write(&config, places).expect("is written");
    let (folder, config) = (data.path().to_str().expect("is text"), config.to_str().expect("is text"));
    let bootstrap = ["admin", "bootstrap", "--config", config, "--data", folder, "--tenant", "acme", "--owner", OWNER, "--password-stdin"];
    succeed(&bootstrap, PASSWORD);
    let operator = ["admin", "api-key", "--config", config, "--data", folder, "--tenant", "operator", "--permissions", "tenants:read"];
    let operator = succeed(&operator, "");
    let served = Served::start(data.path(), &["--config", config]);
    let tenants = served.json(served.get(&operator, "/api/v1/tenants")).await;
    for tenant in tenants["data"].as_array().expect("a list") {
        let path = format!("/api/v1/tenants/{}/place", tenant["id"].as_str().expect("an id"));
        let place = served.json(served.get(&operator, &path)).await;
        assert_eq!(place["place"], if tenant["slug"] == "operator" { "home" } else { "beside" });
    }
}
