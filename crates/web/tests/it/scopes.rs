//! Whatever somebody may read is the same everywhere: random records, random permissions and scopes, and every way to read them against a plain
//! evaluation in memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::{Event, RecordId};
use steward_store::{Among, Expect, Kind, ListQuery, Model, Record, UnitOfWork};
use steward_testkit::{Setup, TestApp, TestTenant};
use steward_web::{Resource, resource};

/// Belongs to an organization and has tags.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Parcel {
    #[schemars(extend("searchable" = true))]
    name: String,
    #[schemars(extend("indexed" = true))]
    size: i64,
    #[schemars(extend("indexed" = true))]
    organization_id: Option<String>,
    #[schemars(extend("indexed" = true))]
    tags: Vec<String>,
}

impl Model for Parcel {
    const KIND: &'static str = "parcel";
    const PREFIX: &'static str = "par";
}

/// Has tags only: a scope over organizations does not reach it.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Letter {
    #[schemars(extend("searchable" = true))]
    name: String,
    #[schemars(extend("indexed" = true))]
    size: i64,
    tags: Vec<String>,
}

impl Model for Letter {
    const KIND: &'static str = "letter";
    const PREFIX: &'static str = "let";
}

const KINDS: [(&str, &str, &str); 2] = [("parcel", "parcels", "par"), ("letter", "letters", "let")];
const TAGS: [&str; 3] = ["red", "blue", "green"];
const ORGANIZATIONS: [&str; 2] = ["one", "two"];

#[derive(Clone, Debug)]
enum Step {
    Put { kind: usize, slot: u8, name: &'static str, size: i64, organization: Option<&'static str>, tags: Vec<&'static str> },
    Delete { kind: usize, slot: u8 },
    Restore { kind: usize, slot: u8 },
}

/// A scope as it is thought of; its text goes into the key.
#[derive(Clone, Debug)]
enum Scope {
    Tag(&'static str),
    Organization(&'static str),
    Not(Box<Scope>),
    Both(Box<Scope>, Box<Scope>),
    Either(Box<Scope>, Box<Scope>),
}

impl Scope {
    fn text(&self) -> String {
        match self {
            Self::Tag(tag) => format!("tags:{tag}"),
            Self::Organization(id) => format!("organization_id = {id}"),
            Self::Not(inner) => format!("NOT ({})", inner.text()),
            Self::Both(one, other) => format!("({} AND {})", one.text(), other.text()),
            Self::Either(one, other) => format!("({} OR {})", one.text(), other.text()),
        }
    }

    fn names_organization(&self) -> bool {
        match self {
            Self::Tag(_) => false,
            Self::Organization(_) => true,
            Self::Not(inner) => inner.names_organization(),
            Self::Both(one, other) | Self::Either(one, other) => one.names_organization() || other.names_organization(),
        }
    }

    fn covers(&self, row: &Value) -> bool {
        match self {
            Self::Tag(tag) => row["tags"].as_array().is_some_and(|tags| tags.iter().any(|known| known == tag)),
            Self::Organization(id) => row["organization_id"] == *id,
            Self::Not(inner) => !inner.covers(row),
            Self::Both(one, other) => one.covers(row) && other.covers(row),
            Self::Either(one, other) => one.covers(row) || other.covers(row),
        }
    }
}

/// What a key may.
#[derive(Clone, Debug)]
struct Key {
    permissions: Vec<&'static str>,
    scope: Option<Scope>,
}

impl Key {
    /// Whether any record of the kind can be read.
    fn reaches(&self, kind: usize) -> bool {
        let read = format!("{}:read", KINDS[kind].1);
        let allowed = self.permissions.iter().any(|permission| *permission == read || *permission == "*:read");
        allowed && (kind == 0 || self.scope.as_ref().is_none_or(|scope| !scope.names_organization()))
    }

    fn covers(&self, kind: usize, row: &Value) -> bool {
        self.reaches(kind) && self.scope.as_ref().is_none_or(|scope| scope.covers(row))
    }
}

fn step() -> impl Strategy<Value = Step> {
    let tags = prop::collection::vec(prop::sample::select(TAGS.to_vec()), 0..3);
    let organization = prop::option::weighted(0.8, prop::sample::select(ORGANIZATIONS.to_vec()));
    let name = prop::sample::select(vec!["lamp", "desk lamp", "chair"]);
    prop_oneof![
        6 => (0..2usize, 0..6u8, name, 0..3i64, organization, tags)
            .prop_map(|(kind, slot, name, size, organization, tags)| Step::Put { kind, slot, name, size, organization, tags }),
        2 => (0..2usize, 0..6u8).prop_map(|(kind, slot)| Step::Delete { kind, slot }),
        1 => (0..2usize, 0..6u8).prop_map(|(kind, slot)| Step::Restore { kind, slot }),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    let leaf = prop_oneof![
        3 => prop::sample::select(TAGS.to_vec()).prop_map(Scope::Tag),
        2 => prop::sample::select(ORGANIZATIONS.to_vec()).prop_map(Scope::Organization),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        let pair = || (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.clone().prop_map(|scope| Scope::Not(Box::new(scope))),
            pair().prop_map(|(one, other)| Scope::Both(one, other)),
            pair().prop_map(|(one, other)| Scope::Either(one, other)),
        ]
    })
}

fn key() -> impl Strategy<Value = Key> {
    let permissions = prop::sample::select(vec![
        vec!["*:read"],
        vec!["parcels:read", "letters:read"],
        vec!["parcels:read"],
        vec!["letters:read", "parcels:write"],
    ]);
    (permissions, prop::option::weighted(0.9, scope())).prop_map(|(permissions, scope)| Key { permissions, scope })
}

#[test]
fn every_way_to_read_answers_what_may_be_read() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("starts");
    let app = runtime.block_on(async {
        let setup = Setup { kinds: vec![Kind::of::<Parcel>(), Kind::of::<Letter>()], ..Setup::default() };
        TestApp::start(setup, |parts| {
            let mut all = resource(&parts.store, Resource::<Parcel>::new("parcels"));
            all.extend(resource(&parts.store, Resource::<Letter>::new("letters")));
            all
        })
        .await
    });
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let number = std::cell::Cell::new(0);
    let cases = (prop::collection::vec(step(), 1..40), prop::collection::vec(key(), 1..4));
    let done = runner.run(&cases, |(steps, keys)| {
        number.set(number.get() + 1);
        runtime.block_on(async {
            let tenant = app.tenant(&format!("case-{}", number.get())).await;
            for step in &steps {
                play(&app, &tenant, step).await;
            }
            let truth = Truth::of(&app, &tenant).await;
            for key in &keys {
                compare(&app, &tenant, &truth, key).await?;
            }
            Ok(())
        })
    });
    runtime.block_on(app.stop());
    done.expect("they agree");
}

async fn play(app: &TestApp, tenant: &TestTenant, step: &Step) {
    let id = |kind: usize, slot: u8| RecordId::from_bytes([kind as u8 + 1, slot, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, slot]);
    let unit = match step {
        Step::Put { kind, slot, name, size, organization, tags } => {
            let mut body = json!({ "name": name, "size": size, "tags": tags });
            if let (0, Some(organization)) = (kind, organization) {
                body["organization_id"] = json!(organization);
            }
            let Value::Object(body) = body else { unreachable!("it is an object") };
            UnitOfWork::new().put(KINDS[*kind].0, id(*kind, *slot), body, Expect::Any)
        }
        Step::Delete { kind, slot } => UnitOfWork::new().delete(KINDS[*kind].0, id(*kind, *slot), Expect::Any),
        Step::Restore { kind, slot } => UnitOfWork::new().restore(KINDS[*kind].0, id(*kind, *slot), Expect::Any),
    };
    match app.parts.store.commit(&tenant.ctx, unit).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.code(), "not_found", "there was nothing to restore"),
    }
}

/// All there is, as the platform itself reads it.
struct Truth {
    live: [Vec<Value>; 2],
    /// Newest deletion first.
    deleted: [Vec<Value>; 2],
    events: Vec<Event>,
}

impl Truth {
    async fn of(app: &TestApp, tenant: &TestTenant) -> Self {
        let rows = async |kind: usize, among| -> Vec<Value> {
            let query = ListQuery { kind: KINDS[kind].0.into(), among, limit: 500, ..ListQuery::default() };
            let model = app.parts.store.kinds().get(KINDS[kind].0).expect("a kind");
            let shown = |record: &Record| record.to_json(model).expect("shows");
            app.parts.store.list(&tenant.ctx, query).await.expect("lists").records.iter().map(shown).collect()
        };
        let events = app.parts.store.events(&tenant.ctx, 0, 10_000).await.expect("reads");
        Self {
            live: [rows(0, Among::Live).await, rows(1, Among::Live).await],
            deleted: [rows(0, Among::Deleted).await, rows(1, Among::Deleted).await],
            events: events.into_iter().filter(|event| kind_of(&event.subject).is_some()).collect(),
        }
    }
}

fn kind_of(subject: &str) -> Option<usize> {
    KINDS.iter().position(|(.., prefix)| subject.split_once('_').is_some_and(|(known, _)| known == *prefix))
}

/// Reads as the holder of one key does.
struct Reader<'a> {
    app: &'a TestApp,
    key: String,
}

impl Reader<'_> {
    async fn get(&self, path: &str) -> Value {
        self.app.get(path).key(&self.key).send().await.expect(200).json()
    }

    /// The rows of all pages.
    async fn all(&self, path: &str) -> Vec<Value> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}limit=3{cursor}")).await;
            rows.extend(page["data"].as_array().expect("rows").clone());
            let Some(next) = page["next_cursor"].as_str() else { return rows };
            cursor = format!("&cursor={next}");
        }
    }
}

async fn compare(app: &TestApp, tenant: &TestTenant, truth: &Truth, key: &Key) -> Result<(), TestCaseError> {
    let secret = match &key.scope {
        Some(scope) => app.scoped_key(tenant.id, &key.permissions, &scope.text()).await,
        None => app.key(tenant.id, &key.permissions).await,
    };
    let reader = Reader { app, key: secret };
    for kind in 0..2 {
        lists(&reader, truth, key, kind).await?;
        histories(&reader, truth, key, kind).await?;
    }
    found(&reader, truth, key).await?;
    told(&reader, truth, key).await
}

async fn lists(reader: &Reader<'_>, truth: &Truth, key: &Key, kind: usize) -> Result<(), TestCaseError> {
    let path = format!("/api/v1/{}?", KINDS[kind].1);
    if !key.reaches(kind) {
        let export = format!("/api/v1/{}/export", KINDS[kind].1);
        for path in ["", "deleted=true", "facets=size", "count=exact"].map(|query| format!("{path}{query}")).iter().chain([&export]) {
            let refused = reader.app.get(path).key(&reader.key).send().await;
            prop_assert_eq!((refused.status, refused.code()), (403, "permission_denied".to_owned()), "{:?}", key);
        }
        return Ok(());
    }
    let within = |rows: &[Value]| -> Vec<Value> { rows.iter().filter(|row| key.covers(kind, row)).cloned().collect() };
    let (live, deleted) = (within(&truth.live[kind]), within(&truth.deleted[kind]));
    prop_assert_eq!(reader.all(&path).await, live.clone(), "{:?}", key);
    prop_assert_eq!(reader.all(&format!("{path}deleted=true&")).await, deleted, "{:?}", key);
    let large: Vec<Value> = live.iter().filter(|row| row["size"].as_i64() >= Some(1)).cloned().collect();
    prop_assert_eq!(reader.all(&format!("{path}filter=size%20%3E%3D%201&")).await, large.clone(), "{:?}", key);
    let export = reader.app.get(&format!("/api/v1/{}/export", KINDS[kind].1)).key(&reader.key).send().await.expect(200);
    let lines: Vec<Value> = export.text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    prop_assert_eq!(lines, live, "{:?}", key);
    let counted = reader.get(&format!("{path}filter=size%20%3E%3D%201&count=exact&facets=size")).await;
    prop_assert_eq!(counted["count"].as_u64(), Some(large.len() as u64), "{:?}", key);
    let mut sizes: BTreeMap<i64, u64> = BTreeMap::new();
    for row in &large {
        *sizes.entry(row["size"].as_i64().expect("a number")).or_default() += 1;
    }
    let values = counted["facets"]["fields"][0]["values"].as_array().expect("values").clone();
    let told = values.iter().map(|known| (known["value"].as_i64().expect("a number"), known["count"].as_u64().expect("a count")));
    prop_assert_eq!(told.collect::<BTreeMap<_, _>>(), sizes, "{:?}", key);
    Ok(())
}

async fn histories(reader: &Reader<'_>, truth: &Truth, key: &Key, kind: usize) -> Result<(), TestCaseError> {
    for row in truth.live[kind].iter().chain(&truth.deleted[kind]) {
        let id = row["id"].as_str().expect("an id");
        let path = format!("/api/v1/{}/{id}/history", KINDS[kind].1);
        if !key.covers(kind, row) {
            let refused = reader.app.get(&path).key(&reader.key).send().await;
            let (status, code) = if key.reaches(kind) { (404, "not_found") } else { (403, "permission_denied") };
            prop_assert_eq!((refused.status, refused.code()), (status, code.to_owned()), "{:?} {}", key, row);
            continue;
        }
        let events = truth.events.iter().rev().filter(|event| event.subject == id);
        let expected: Vec<i64> =
            events.filter(|event| key.covers(kind, &Value::Object(event.scope.clone()))).map(|event| event.position).collect();
        let got: Vec<i64> = reader.all(&format!("{path}?")).await.iter().filter_map(|event| event["position"].as_i64()).collect();
        prop_assert_eq!(got, expected, "{:?} {}", key, row);
    }
    Ok(())
}

async fn found(reader: &Reader<'_>, truth: &Truth, key: &Key) -> Result<(), TestCaseError> {
    if !key.reaches(0) && !key.reaches(1) {
        let refused = reader.app.get("/api/v1/search?q=lamp").key(&reader.key).send().await;
        prop_assert_eq!((refused.status, refused.code()), (403, "permission_denied".to_owned()), "{:?}", key);
        return Ok(());
    }
    for (text, word) in [("lam", "lamp"), ("DESK+lamp", "desk lamp"), ("chair", "chair")] {
        let rows = (0..2).flat_map(|kind| truth.live[kind].iter().map(move |row| (kind, row)));
        let visible = rows.filter(|(kind, row)| key.covers(*kind, row) && row["name"].as_str().is_some_and(|name| name.contains(word)));
        // Ids of one kind begin alike, so their texts are in the order of the ids.
        let mut expected: Vec<(usize, String)> = visible.map(|(kind, row)| (kind, row["id"].as_str().expect("an id").to_owned())).collect();
        expected.sort_by(|one, other| other.cmp(one));
        let hits = reader.all(&format!("/api/v1/search?q={text}&")).await;
        let got: Vec<String> = hits.iter().filter_map(|hit| Some(hit["id"].as_str()?.to_owned())).collect();
        prop_assert_eq!(got, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), "{:?} {}", key, text);
    }
    Ok(())
}

/// The log and the stream of events.
async fn told(reader: &Reader<'_>, truth: &Truth, key: &Key) -> Result<(), TestCaseError> {
    if !key.reaches(0) && !key.reaches(1) {
        let refused = reader.app.get("/api/v1/events").key(&reader.key).send().await;
        prop_assert_eq!((refused.status, refused.code()), (403, "permission_denied".to_owned()), "{:?}", key);
        return Ok(());
    }
    let covered = |event: &&Event| key.covers(kind_of(&event.subject).expect("is known"), &Value::Object(event.scope.clone()));
    let expected: Vec<i64> = truth.events.iter().filter(covered).map(|event| event.position).collect();
    let page = reader.get("/api/v1/events?limit=500").await;
    let rows = page["data"].as_array().expect("events").iter();
    let ours = rows.filter(|event| event["subject"].as_str().is_some_and(|subject| kind_of(subject).is_some()));
    let got: Vec<i64> = ours.filter_map(|event| event["position"].as_i64()).collect();
    prop_assert_eq!(&got, &expected, "{:?}", key);
    let mut stream = reader.app.get("/api/v1/events/stream?after=0").key(&reader.key).follow().await;
    let mut streamed = BTreeSet::new();
    while streamed.len() < expected.len() {
        let event: Value = serde_json::from_str(&stream.next().await.expect("an event").data).expect("is JSON");
        if event["subject"].as_str().is_some_and(|subject| kind_of(subject).is_some()) {
            streamed.insert(event["position"].as_i64().expect("a position"));
        }
    }
    prop_assert_eq!(streamed.into_iter().collect::<Vec<_>>(), expected, "{:?}", key);
    Ok(())
}
