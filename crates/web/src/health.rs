//! Whether the process lives, whether it can serve, what it is, and what it counts.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steward_base::{Clock, Error, ErrorKind};

use crate::call::Call;
use crate::draft::operation;
use crate::operation::{Operation, RateClass};
use crate::reply::{Json, Reply, Text};
use crate::site::Version;

/// A part that takes longer than this to answer is not ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer of the parts is good for: anybody may ask, and the answer costs the database a look.
const FRESH: Duration = Duration::from_secs(1);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// What every part said, and when by the monotonic clock.
type Asked = (Duration, Arc<Vec<(&'static str, Result<(), Error>)>>);

/// The parts of the server that must work for it to serve.
#[derive(Default)]
pub struct Health {
    parts: Mutex<Vec<(&'static str, Check)>>,
    last: Arc<tokio::sync::Mutex<Option<Asked>>>,
}

impl Health {
    /// Adds a part. Its error's detail is shown to anybody: it must say what to do and no more.
    pub fn add<F, R>(&self, name: &'static str, check: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let check: Check = Arc::new(move || Box::pin(check()));
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push((name, check));
    }

    /// What every part says, at most a second old. However many ask, the parts are asked once at a time.
    pub async fn ask(&self, clock: &Clock) -> Result<Arc<Vec<(&'static str, Result<(), Error>)>>, Error> {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, answers)) = &*last
            && clock.monotonic().saturating_sub(*at) < FRESH
            && answers.len() == parts.len()
        {
            return Ok(Arc::clone(answers));
        }
        let clock = clock.clone();
        // In a task of its own: a caller that hangs up does not make the next one begin anew.
        let asking = tokio::spawn(async move {
            let answers = Arc::new(ask_all(parts).await);
            *last = Some((clock.monotonic(), Arc::clone(&answers)));
            answers
        });
        asking.await.map_err(Error::internal)
    }
}

async fn ask_all(parts: Vec<(&'static str, Check)>) -> Vec<(&'static str, Result<(), Error>)> {
    join_all(parts.into_iter().map(async |(name, check)| {
        let slow = Error::new(ErrorKind::Unavailable, "no_answer", format!("{name} does not answer."));
        (name, tokio::time::timeout(PATIENCE, check()).await.unwrap_or(Err(slow)))
    }))
    .await
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Health")
    }
}

/// That the process lives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Alive {
    /// It answers.
    Alive,
}

/// Liveness.
#[derive(Debug, Serialize, JsonSchema)]
struct Liveness {
    /// Always `alive`: a process that is not does not answer.
    status: Alive,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ReadyQuery {
    /// Lists every part; `?verbose` alone is enough.
    verbose: Option<Flag>,
}

/// A parameter whose presence says it all.
#[derive(Debug, Deserialize, JsonSchema)]
enum Flag {
    /// `?verbose`.
    #[serde(rename = "")]
    Bare,
    /// `?verbose=true`.
    #[serde(rename = "true")]
    True,
    /// `?verbose=false`.
    #[serde(rename = "false")]
    False,
}

/// That the server can serve.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Ready {
    /// Every part works.
    Ready,
}

/// Readiness; what is not ready is a problem instead that names each part under `errors`.
#[derive(Debug, Serialize, JsonSchema)]
struct Readiness {
    /// Always `ready`.
    status: Ready,
    /// The parts that were asked, when `verbose` was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Part {
    /// As in `store`.
    name: String,
    /// Always `ready`.
    status: Ready,
}

/// `/livez`, `/readyz`, `/version` and `/metrics`.
pub fn operations() -> Vec<Operation> {
    vec![
        operation("health.live", Method::GET, "/livez")
            .summary("Whether the process lives")
            .description("Needs nothing but the process: restart it when this does not answer.")
            .tag("health")
            .rate(RateClass::Exempt)
            .public()
            .handle((), async |(), _: Call| Ok(Reply::json(Liveness { status: Alive::Alive }))),
        operation("health.ready", Method::GET, "/readyz")
            .summary("Whether the server can serve")
            .description("503 names each part that does not work and says what to do. A server that drains is not ready.")
            .tag("health")
            .rate(RateClass::Exempt)
            .error(http::StatusCode::SERVICE_UNAVAILABLE, "not_ready")
            .public()
            .handle((), ready),
        operation("health.version", Method::GET, "/version")
            .summary("What is running")
            .tag("health")
            .rate(RateClass::Exempt)
            .public()
            .handle((), async |(), call: Call| Ok::<_, Error>(Reply::<Json<Version>>::json(call.site.settings().version.clone()))),
        operation("health.metrics", Method::GET, "/metrics")
            .summary("Counters in the Prometheus text format")
            .description(
                "Labels are route pattern, method and status class; nothing here names a tenant, an id or a path that somebody asked for.",
            )
            .tag("health")
            .rate(RateClass::Exempt)
            .public()
            .handle((), async |(), call: Call| {
                let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                Ok::<_, Error>(Reply::new(Text(call.site.metrics().render())).header(CONTENT_TYPE, media_type))
            }),
    ]
}

async fn ready((): (), call: Call<(), ReadyQuery>) -> Result<Reply<Json<Readiness>>, Error> {
    let not_ready = |detail: &'static str| Error::new(ErrorKind::Unavailable, "not_ready", detail);
    if call.site.drain().is_cancelled() {
        return Err(not_ready("The server is shutting down.").with_field("/server", "draining", "Send requests to another node."));
    }
    let asked = call.site.health().ask(call.site.clock()).await?;
    let failing = |error: Error, (name, result): &(&'static str, Result<(), Error>)| match result {
        Ok(()) => error,
        Err(cause) => error.with_field(format!("/{name}"), cause.code(), cause.detail()),
    };
    if asked.iter().any(|(_, result)| result.is_err()) {
        return Err(asked.iter().fold(not_ready("A part of the server does not work; errors says which and why."), failing));
    }
    let verbose = matches!(call.query.verbose, Some(Flag::Bare | Flag::True));
    let parts = asked.iter().filter(|_| verbose).map(|(name, _)| Part { name: (*name).to_owned(), status: Ready::Ready }).collect();
    Ok(Reply::json(Readiness { status: Ready::Ready, parts }))
}
