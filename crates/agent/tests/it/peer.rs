//! The other side: a server that takes what an agent sends and remembers it.

use std::collections::{HashSet, VecDeque};
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Form, Json, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use prost::Message as _;
use serde_json::{Value, json};
use steward_agent::{Journal, Options, run};
use steward_base::{Clock, Error, Random, Secret};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A log line as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) service: String,
    pub(crate) message: String,
    pub(crate) severity: i32,
    pub(crate) batch: String,
    pub(crate) attributes: Vec<(String, String)>,
}

/// What came, and what is to be answered next.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) enrolments: Vec<Value>,
    pub(crate) assertions: Vec<Value>,
    pub(crate) heartbeats: Vec<Value>,
    pub(crate) lines: Vec<Line>,
    pub(crate) metrics: Vec<(String, f64)>,
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) batches: Vec<String>,
    /// Devices that were removed, and the tenant that enrolments go to.
    pub(crate) removed: HashSet<String>,
    pub(crate) tenant: Option<&'static str>,
    devices: usize,
    jti: HashSet<String>,
    tokens: HashSet<String>,
    /// Statuses, with an optional Retry-After, answered instead of the next enrolments and log batches.
    pub(crate) refuse_enrolments: VecDeque<StatusCode>,
    pub(crate) refuse_logs: VecDeque<(StatusCode, Option<u64>)>,
}

impl Seen {
    pub(crate) fn messages(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.message.as_str()).collect()
    }

    /// Tokens given out so far are no longer taken.
    pub(crate) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }
}

type Shared = Arc<Mutex<Seen>>;

pub(crate) struct Peer {
    pub(crate) url: String,
    seen: Shared,
    task: JoinHandle<()>,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        Self::listen(&format!("127.0.0.1:{}", crate::ports::own()), Shared::default()).await
    }

    async fn listen(address: &str, seen: Shared) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let router = Router::new()
            .route("/agent/v1/enroll", post(enroll))
            .route("/agent/v1/heartbeat", post(heartbeat))
            .route("/t/acme/oauth/token", post(token))
            .route("/otlp/v1/logs", post(logs))
            .route("/otlp/v1/metrics", post(metrics))
            .with_state((seen.clone(), url.clone()));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, seen, task }
    }

    /// Closes the port; what was seen stays.
    pub(crate) async fn stop(self) -> Stopped {
        self.task.abort();
        let _ = self.task.await;
        Stopped { address: self.url.trim_start_matches("http://").to_owned(), seen: self.seen }
    }

    pub(crate) fn seen<R>(&self, look: impl FnOnce(&mut Seen) -> R) -> R {
        look(&mut self.seen.lock().expect("not poisoned"))
    }

    /// Waits until something is true of what was seen.
    pub(crate) async fn until(&self, what: &str, mut test: impl FnMut(&mut Seen) -> bool) {
        let waiting = async {
            while !self.seen(&mut test) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), waiting).await.is_err() {
            panic!("not seen in time: {what}; messages {:?}", self.seen(|seen| seen.messages().join(" | ")));
        }
    }
}

pub(crate) struct Stopped {
    address: String,
    seen: Shared,
}

impl Stopped {
    pub(crate) async fn restart(self) -> Peer {
        Peer::listen(&self.address, self.seen).await
    }
}

async fn enroll(State((seen, url)): State<(Shared, String)>, Json(request): Json<Value>) -> Response {
    let mut seen = seen.lock().expect("not poisoned");
    seen.enrolments.push(request);
    match seen.refuse_enrolments.pop_front() {
        Some(status) => (status, Json(json!({ "detail": "not now" }))).into_response(),
        None => {
            seen.devices += 1;
            let (device, tenant) = (format!("dev_{}", seen.devices), seen.tenant.unwrap_or("ten_1"));
            let device = json!({
                "device_id": device, "tenant_id": tenant, "tenant_slug": "acme", "token_url": format!("{url}/t/acme/oauth/token"),
            });
            (StatusCode::CREATED, Json(device)).into_response()
        }
    }
}

#[derive(serde::Deserialize)]
struct Grant {
    grant_type: String,
    assertion: String,
}

async fn token(State((seen, url)): State<(Shared, String)>, Form(grant): Form<Grant>) -> Response {
    assert_eq!(grant.grant_type, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let mut seen = seen.lock().expect("not poisoned");
    let public = seen.enrolments.last().expect("enrolled")["public_key"].as_str().expect("text").to_owned();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[format!("{url}/t/acme/oauth/token")]);
    let key = DecodingKey::from_ed_der(&URL_SAFE_NO_PAD.decode(public).expect("base64url"));
    let claims = jsonwebtoken::decode::<Value>(&grant.assertion, &key, &validation).expect("signed by the enrolled key").claims;
    seen.assertions.push(claims.clone());
    if seen.removed.contains(claims["sub"].as_str().expect("text")) {
        let problem = json!({ "error": "invalid_grant", "error_description": "There is no such device." });
        return (StatusCode::BAD_REQUEST, Json(problem)).into_response();
    }
    assert!(seen.jti.insert(claims["jti"].as_str().expect("text").to_owned()), "an assertion is used once");
    let token = format!("token-{}", seen.assertions.len());
    seen.tokens.insert(token.clone());
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 600 })).into_response()
}

fn admitted(seen: &Seen, headers: &HeaderMap) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    bearer.strip_prefix("Bearer ").is_some_and(|token| seen.tokens.contains(token))
}

async fn heartbeat(State((seen, _)): State<(Shared, String)>, headers: HeaderMap, Json(beat): Json<Value>) -> Response {
    let mut seen = seen.lock().expect("not poisoned");
    if !admitted(&seen, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    seen.heartbeats.push(beat);
    Json(json!({ "next_seconds": 1 })).into_response()
}

async fn logs(State((seen, _)): State<(Shared, String)>, headers: HeaderMap, body: Bytes) -> Response {
    let mut seen = seen.lock().expect("not poisoned");
    if !admitted(&seen, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    seen.batches.push(headers["idempotency-key"].to_str().expect("text").to_owned());
    if let Some((status, retry_after)) = seen.refuse_logs.pop_front() {
        let headers: Vec<_> = retry_after.map(|seconds| (header::RETRY_AFTER, seconds.to_string())).into_iter().collect();
        return (status, axum::response::AppendHeaders(headers)).into_response();
    }
    let request = ExportLogsServiceRequest::decode(unpacked(&headers, &body)).expect("is OTLP");
    for resource in request.resource_logs {
        seen.resource = attributes(&resource.resource.expect("a resource").attributes);
        let service = seen.resource.iter().find(|(key, _)| key == "service.name").expect("a service").1.clone();
        for scope in resource.scope_logs {
            let batch = attributes(&scope.scope.expect("a scope").attributes).remove(0).1;
            for record in scope.log_records {
                let Some(any_value::Value::StringValue(message)) = record.body.and_then(|body| body.value) else { panic!("no text") };
                let attributes = attributes(&record.attributes);
                let (service, batch) = (service.clone(), batch.clone());
                seen.lines.push(Line { service, message, severity: record.severity_number, batch, attributes });
            }
        }
    }
    StatusCode::OK.into_response()
}

async fn metrics(State((seen, _)): State<(Shared, String)>, headers: HeaderMap, body: Bytes) -> Response {
    use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
    let mut seen = seen.lock().expect("not poisoned");
    if !admitted(&seen, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let request = ExportMetricsServiceRequest::decode(unpacked(&headers, &body)).expect("is OTLP");
    for metric in request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics) {
        let points = match metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points,
            Some(Data::Sum(sum)) => sum.data_points,
            other => panic!("{other:?}"),
        };
        for point in points {
            let value = match point.value {
                Some(Value::AsDouble(value)) => value,
                Some(Value::AsInt(value)) => value as f64,
                None => panic!("no value"),
            };
            seen.metrics.push((metric.name.clone(), value));
        }
    }
    StatusCode::OK.into_response()
}

fn unpacked(headers: &HeaderMap, body: &[u8]) -> Bytes {
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
    assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut bytes).expect("is gzip");
    bytes.into()
}

fn attributes(pairs: &[KeyValue]) -> Vec<(String, String)> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.clone()) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(int)) => int.to_string(),
        Some(any_value::Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// A running agent.
pub(crate) struct Agent {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Agent {
    pub(crate) fn start(options: Options) -> Self {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(run(options, Clock::system(), Random::system(), shutdown));
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.expect("does not panic").expect("ends well");
    }

    pub(crate) async fn failure(self) -> Error {
        self.task.await.expect("does not panic").expect_err("fails")
    }
}

/// An agent of `folder/state` that reads `folder/*.log` and nothing of this machine's.
pub(crate) fn options(peer: &Peer, folder: &Path) -> Options {
    let mut options = Options::new(&peer.url, folder.join("state"));
    options.token = Some(Secret::new("ste_token".to_owned()));
    options.log_files = vec![folder.join("*.log").to_string_lossy().into_owned()];
    options.journal = Journal::Off;
    options.metrics_interval = Duration::from_secs(1);
    options
}
