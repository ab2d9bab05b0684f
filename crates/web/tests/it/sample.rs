//! A kind with its operations, and a few odd ones that only tests need.

use std::sync::Arc;

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steward_base::{Error, ErrorKind};
use steward_store::{EventDraft, Expect, Kind, Model, Store, UnitOfWork};
use steward_testkit::{Parts, Setup, TestApp};
use steward_web::{Call, Change, Form, Json, Operation, Raw, Reply, Resource, Text, operation, resource};
use tokio::sync::Notify;

/// Something with every sort of field.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Gadget {
    /// As people read it.
    #[schemars(length(min = 1, max = 80), extend("indexed" = true, "searchable" = true))]
    pub(crate) name: String,
    /// Free words.
    #[serde(default)]
    #[schemars(length(max = 20), inner(length(min = 1, max = 40)), extend("indexed" = true))]
    pub(crate) tags: Vec<String>,
    /// In centimetres.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(extend("indexed" = true))]
    pub(crate) size: Option<i64>,
    /// Of its maker.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(length(min = 1, max = 40), extend("unique" = true))]
    pub(crate) serial: Option<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) place: Option<Place>,
    /// Set by the platform.
    #[schemars(extend("readOnly" = true))]
    pub(crate) state: State,
}

/// A place.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Place {
    /// Of a house.
    pub(crate) room: String,
    /// From the ground.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) floor: Option<i32>,
}

/// A state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Just made.
    New,
    /// Changed since.
    Used,
}

impl Model for Gadget {
    const KIND: &'static str = "gadget";
    const PREFIX: &'static str = "gad";
}

/// What a test holds to steer the odd operations.
#[derive(Clone, Default)]
pub(crate) struct Levers {
    /// The slow operation says that it has begun.
    pub(crate) begun: Arc<Notify>,
    /// Lets it go on.
    pub(crate) go: Arc<Notify>,
    /// It says that it is done.
    pub(crate) done: Arc<Notify>,
}

/// A served sample.
pub(crate) async fn app() -> TestApp {
    start(Setup::default(), Levers::default()).await
}

/// A served sample, as the test wants it.
pub(crate) async fn start(setup: Setup, levers: Levers) -> TestApp {
    let setup = Setup { kinds: vec![Kind::of::<Gadget>()], ..setup };
    TestApp::start(setup, move |parts| operations(parts, levers)).await
}

pub(crate) fn operations(parts: &Parts, levers: Levers) -> Vec<Operation> {
    let options = Resource::<Gadget>::new("gadgets")
        .example(json!({ "name": "Lamp", "tags": ["kitchen"], "size": 30 }))
        .on_create(async |_, mut change: Change| match change.body["name"].as_str() {
            Some("away") => Err(Error::new(ErrorKind::Unavailable, "odd_busy", "Come back later.")),
            _ => {
                change.body.insert("state".into(), "new".into());
                Ok(change)
            }
        })
        .on_update(async |_, mut change: Change| {
            change.body.insert("state".into(), "used".into());
            let draft = EventDraft::new("gadget.touched", change.id, json!({ "name": change.body["name"] }));
            change.unit = change.unit.event(draft);
            Ok(change)
        })
        .on_delete(async |_, change: Change| match change.body["name"].as_str() {
            Some("keep") => Err(Error::new(ErrorKind::Conflict, "kept", "This one is kept.")),
            _ => Ok(change),
        });
    let mut all = resource(&parts.store, options);
    all.extend([
        operation("odd.panic", Method::GET, "/odd/panic").summary("Panics").tag("odd").public().handle((), async |(), _: Call| {
            if true {
                panic!("the sample panics with secret stw_123");
            }
            Ok(Reply::json(0))
        }),
        operation("odd.panic_write", Method::POST, "/odd/panic").summary("Panics").tag("odd").public().handle((), async |(), _: Call| {
            if true {
                panic!("the sample panics");
            }
            Ok(Reply::empty())
        }),
        operation("odd.broken", Method::GET, "/odd/broken")
            .summary("Fails")
            .tag("odd")
            .public()
            .handle((), async |(), _: Call| Err::<Reply<()>, _>(Error::internal("password=hunter2"))),
        operation("odd.busy", Method::GET, "/odd/busy").summary("Is busy").tag("odd").public().handle((), async |(), _: Call| {
            let busy = Error::new(ErrorKind::Unavailable, "odd_busy", "Come back later.");
            Err::<Reply<()>, _>(busy.with_retry_after(std::time::Duration::from_millis(2500)))
        }),
        operation("odd.half", Method::POST, "/odd/half")
            .summary("Writes and fails")
            .tag("odd")
            .needs("gadgets:write")
            .handle((parts.store.clone(), levers.clone()), half),
        operation("odd.slow", Method::POST, "/odd/slow").summary("Takes its time").tag("odd").public().handle(levers, slow),
        operation("odd.seen", Method::GET, "/odd/seen").summary("What the handler sees").tag("odd").signed_in().handle((), seen),
        operation("odd.raw", Method::POST, "/odd/raw")
            .summary("Raw bytes")
            .tag("odd")
            .media_types(&["application/x-protobuf", "application/octet-stream"])
            .encodings(&["gzip"])
            .body_limit(64)
            .public()
            .handle((), async |(), call: Call<(), (), Raw>| {
                let part = call.body.0;
                Ok::<_, Error>(Reply::new(Text(format!("{} {} {}", part.media_type, part.encoding, part.bytes.len()))))
            }),
        operation("odd.form", Method::POST, "/odd/form")
            .summary("A form")
            .tag("odd")
            .public()
            .handle((), async |(), call: Call<(), (), Form<Grant>>| Ok::<_, Error>(Reply::json(call.body.0))),
        operation("odd.numbers", Method::POST, "/odd/numbers")
            .summary("Numbers")
            .tag("odd")
            .status(StatusCode::ACCEPTED)
            .public()
            .handle((), async |(), call: Call<(), (), Json<Numbers>>| Ok::<_, Error>(Reply::json(call.body.0))),
    ]);
    all
}

/// A form.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Grant {
    /// Sort.
    grant_type: String,
    /// Seconds.
    seconds: Option<u32>,
}

/// Numbers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Numbers {
    /// Whole.
    whole: i64,
    /// Small.
    small: u8,
    /// Any.
    any: Option<f64>,
}

async fn slow(levers: Levers, _: Call) -> Result<Reply<()>, Error> {
    levers.begun.notify_one();
    levers.go.notified().await;
    levers.done.notify_one();
    Ok(Reply::empty())
}

/// Has its effect, waits, and comes to no good end.
async fn half((store, levers): (Store, Levers), call: Call) -> Result<Reply<()>, Error> {
    let gadget = json!({ "name": "half", "state": "new" });
    let Value::Object(body) = gadget else { return Err(Error::internal("an object is an object")) };
    store.commit(&call.ctx, UnitOfWork::new().put(Gadget::KIND, store.mint_id(), body, Expect::Absent)).await?;
    levers.begun.notify_one();
    levers.go.notified().await;
    panic!("the sample dies halfway");
}

async fn seen(_: (), call: Call) -> Result<Reply<Json<Value>>, Error> {
    let origin = call.ctx.origin().cloned().unwrap_or_default();
    let claims = ["x-steward-user", "x-remote-user", "x-real-ip"].iter().filter(|name| call.headers.contains_key(**name)).count();
    Ok(Reply::json(json!({
        "actor": call.ctx.actor(),
        "tenant": call.ctx.tenant(),
        "reason": call.ctx.reason(),
        "ip": origin.ip,
        "user_agent": origin.user_agent,
        "trace_id": call.ctx.trace_id(),
        "request_id": call.ctx.request_id(),
        "claims": claims,
    })))
}
