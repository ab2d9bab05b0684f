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
use tokio::task::JoinHandle;

use crate::call::Call;
use crate::draft::operation;
use crate::operation::{Operation, RateClass};
use crate::reply::{Json, Reply, Text};
use crate::site::Version;

/// A part that takes longer than this to answer does not work.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer waits for a part that may be down: who asks for readiness must not wait for what readiness does not hang on.
const GLANCE: Duration = Duration::from_millis(200);
/// How long an answer of the parts is good for: anybody may ask, and the answer costs the database a look.
const FRESH: Duration = Duration::from_secs(1);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// What is lost while a part does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Everything: the server is not ready without it.
    Always,
    /// What needs this part and nothing else: the server is ready, and says that the part is down.
    Sometimes,
}

/// What one part said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The part.
    pub name: &'static str,
    /// What is lost while it does not work.
    pub need: Need,
    /// Whether it works, and why not.
    pub result: Arc<Result<(), Error>>,
}

/// What every part said, and when by the monotonic clock.
type Asked = (Duration, Arc<Vec<Said>>);

/// The parts of the server.
#[derive(Default)]
pub struct Health {
    parts: Mutex<Vec<Part>>,
    last: Arc<tokio::sync::Mutex<Option<Asked>>>,
}

#[derive(Clone)]
struct Part {
    name: &'static str,
    need: Need,
    check: Check,
    /// Of a part that may be down: what it said last, and the question that it has not answered yet.
    glimpse: Arc<Mutex<Glimpse>>,
}

#[derive(Default)]
struct Glimpse {
    last: Option<Arc<Result<(), Error>>>,
    open: Option<(Duration, JoinHandle<Result<(), Error>>)>,
}

impl Health {
    /// Adds a part. Its error's detail is shown to anybody: it must say what to do and no more.
    pub fn add<F, R>(&self, name: &'static str, need: Need, check: F)
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let check: Check = Arc::new(move || Box::pin(check()));
        let part = Part { name, need, check, glimpse: Arc::default() };
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    /// What every part says, at most a second old. However many ask, the parts are asked once at a time.
    pub async fn ask(&self, clock: &Clock) -> Result<Arc<Vec<Said>>, Error> {
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
            let answers = Arc::new(join_all(parts.into_iter().map(|part| part.ask(&clock))).await);
            *last = Some((clock.monotonic(), Arc::clone(&answers)));
            answers
        });
        asking.await.map_err(Error::internal)
    }
}

impl Part {
    async fn ask(self, clock: &Clock) -> Said {
        let result = match self.need {
            Need::Always => Arc::new(tokio::time::timeout(PATIENCE, (self.check)()).await.unwrap_or_else(|_| Err(self.slow()))),
            Need::Sometimes => self.glance(clock).await,
        };
        Said { name: self.name, need: self.need, result }
    }

    /// What the part says now or, when it takes its time, what it said last. Its question stays open, for whoever asks next.
    async fn glance(&self, clock: &Clock) -> Arc<Result<(), Error>> {
        let glimpse = || self.glimpse.lock().unwrap_or_else(PoisonError::into_inner);
        let open = glimpse().open.take();
        let (since, mut question) = open.unwrap_or_else(|| (clock.monotonic(), tokio::spawn((self.check)())));
        if let Ok(answer) = tokio::time::timeout(GLANCE, &mut question).await {
            let result = Arc::new(answer.unwrap_or_else(|failed| Err(Error::internal(failed))));
            glimpse().last = Some(Arc::clone(&result));
            return result;
        }
        let mut glimpse = glimpse();
        glimpse.open = Some((since, question));
        let late = clock.monotonic().saturating_sub(since) >= PATIENCE;
        match &glimpse.last {
            Some(last) if !late => Arc::clone(last),
            _ => Arc::new(Err(self.slow())),
        }
    }

    fn slow(&self) -> Error {
        Error::new(ErrorKind::Unavailable, "no_answer", format!("{} does not answer.", self.name))
    }
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
    /// Every part works that the server cannot do without.
    Ready,
}

/// Readiness; what is not ready is a problem instead that names each part under `errors`.
#[derive(Debug, Serialize, JsonSchema)]
struct Readiness {
    /// Always `ready`.
    status: Ready,
    /// The parts that were asked, when `verbose` was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartLine>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Part")]
struct PartLine {
    /// As in `records`.
    name: String,
    /// Whether it works.
    status: PartStatus,
    /// Why it does not, as problems have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum PartStatus {
    /// It works.
    Ready,
    /// It does not: what needs it is refused, and everything else is served.
    Down,
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
            .description(
                "503 names each part that does not work and says what to do. A server that drains is not ready. A part that only some requests \
                 need makes nothing unready: it is listed as down when `verbose` is given.",
            )
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
    let fatal = |said: &&Said| said.need == Need::Always;
    let failing = |error: Error, said: &Said| match &*said.result {
        Ok(()) => error,
        Err(cause) => error.with_field(format!("/{}", said.name), cause.code(), cause.detail()),
    };
    if asked.iter().filter(fatal).any(|said| said.result.is_err()) {
        let error = not_ready("A part of the server does not work; errors says which and why.");
        return Err(asked.iter().filter(fatal).fold(error, failing));
    }
    let verbose = matches!(call.query.verbose, Some(Flag::Bare | Flag::True));
    let parts = asked.iter().filter(|_| verbose).map(line).collect();
    Ok(Reply::json(Readiness { status: Ready::Ready, parts }))
}

fn line(said: &Said) -> PartLine {
    let name = said.name.to_owned();
    match &*said.result {
        Ok(()) => PartLine { name, status: PartStatus::Ready, code: None, detail: None },
        Err(cause) => {
            PartLine { name, status: PartStatus::Down, code: Some(cause.code().to_owned()), detail: Some(cause.detail().to_owned()) }
        }
    }
}
