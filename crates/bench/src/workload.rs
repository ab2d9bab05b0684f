//! What the requests are: the projects resource as both Steward and its peer serve it, and log lines.

use bytes::Bytes;
use clap::ValueEnum;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use url::Url;

use crate::Failure;
use crate::telemetry::{ROWS_PER_REQUEST, log_lines, log_records, metric_points};

/// What every request of a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// POST a project.
    Create,
    /// GET one of up to 1,000 projects.
    Get,
    /// GET the first 50 projects, always the same.
    List,
    /// GET 50 projects, of up to 1,000 another page each time.
    Pages,
    /// POST 2,000 log lines as JSON lines.
    Ingest,
    /// POST 2,000 log records as OTLP.
    OtlpLogs,
    /// POST a point of each of 2,000 series as OTLP.
    OtlpMetrics,
}

/// Where requests go and with which credential.
#[derive(Clone)]
pub(crate) struct Target {
    authority: String,
    authorization: String,
}

impl Target {
    pub(crate) fn new(url: &Url, token: &str) -> Result<Self, Failure> {
        if url.scheme() != "http" {
            return Err("only plain HTTP is measured".into());
        }
        let host = url.host_str().ok_or("the address names no host")?;
        let port = url.port_or_known_default().ok_or("the address names no port")?;
        Ok(Self { authority: format!("{host}:{port}"), authorization: format!("Bearer {token}") })
    }

    /// Opens one connection.
    pub(crate) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = TcpStream::connect(&self.authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; a failure shows in the request that it breaks.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Opens a stream.
    pub(crate) fn follow(&self, path: &str) -> Request<Full<Bytes>> {
        self.request(Method::GET, path, "application/json", Bytes::new())
    }

    fn request(&self, method: Method, path: &str, content_type: &str, body: Bytes) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, content_type)
            .body(Full::new(body))
            .expect("paths, tokens and content types of a run are valid header text")
    }
}

/// The requests of a run, by number.
#[derive(Clone)]
pub(crate) enum Requests {
    Create,
    /// Paths that take turns.
    Get(Vec<String>),
    /// A path, a media type, and bodies that take turns.
    Ingest(&'static str, &'static str, Vec<Bytes>),
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Identified>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl Workload {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Workload::Create => "create",
            Workload::Get => "get",
            Workload::List => "list",
            Workload::Pages => "pages",
            Workload::Ingest => "ingest",
            Workload::OtlpLogs => "otlp-logs",
            Workload::OtlpMetrics => "otlp-metrics",
        }
    }

    /// Gathers what the requests need before anything is measured.
    pub(crate) async fn prepare(self, target: &Target) -> Result<Requests, Failure> {
        Ok(match self {
            Workload::Create => Requests::Create,
            Workload::Get => Requests::Get(project_paths(target).await?),
            Workload::List => Requests::Get(vec![page_path(50, None)]),
            Workload::Pages => Requests::Get(walk(target, 50).await?.into_iter().map(|(path, _)| path).collect()),
            Workload::Ingest => Requests::Ingest("/ingest/v1/bench", "application/x-ndjson", (0..8).map(log_lines).collect()),
            Workload::OtlpLogs => Requests::Ingest("/otlp/v1/logs", "application/x-protobuf", (0..8).map(log_records).collect()),
            Workload::OtlpMetrics => Requests::Ingest("/otlp/v1/metrics", "application/x-protobuf", (0..8).map(metric_points).collect()),
        })
    }

    /// Rows that one request stores; zero where that is not what counts.
    pub(crate) fn rows(self) -> u64 {
        match self {
            Workload::Ingest | Workload::OtlpLogs | Workload::OtlpMetrics => ROWS_PER_REQUEST,
            Workload::Create | Workload::Get | Workload::List | Workload::Pages => 0,
        }
    }
}

impl Requests {
    /// The request with this number and the status that is right for it.
    pub(crate) fn make(&self, target: &Target, number: u64) -> (Request<Full<Bytes>>, StatusCode) {
        let json = "application/json";
        match self {
            Requests::Create => (target.request(Method::POST, "/api/v1/projects", json, project(number)), StatusCode::CREATED),
            Requests::Get(paths) => {
                let path = &paths[usize::try_from(number).unwrap_or_default() % paths.len()];
                (target.request(Method::GET, path, json, Bytes::new()), StatusCode::OK)
            }
            Requests::Ingest(path, media_type, bodies) => {
                let body = bodies[usize::try_from(number).unwrap_or_default() % bodies.len()].clone();
                (target.request(Method::POST, path, media_type, body), StatusCode::OK)
            }
        }
    }
}

fn project(number: u64) -> Bytes {
    let description = "a project to look after ".repeat(8);
    let body = serde_json::json!({ "name": format!("project {number}"), "path": format!("/srv/{number}"), "description": description });
    Bytes::from(body.to_string())
}

async fn project_paths(target: &Target) -> Result<Vec<String>, Failure> {
    let pages = walk(target, 500).await?;
    let paths: Vec<_> = pages.iter().flat_map(|(_, page)| &page.data).map(|project| format!("/api/v1/projects/{}", project.id)).collect();
    if paths.is_empty() { Err("there is no project to get: run `create` first".into()) } else { Ok(paths) }
}

fn page_path(limit: usize, cursor: Option<&str>) -> String {
    let cursor = cursor.map(|cursor| format!("&cursor={}", url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect::<String>()));
    format!("/api/v1/projects?limit={limit}{}", cursor.unwrap_or_default())
}

/// The pages of up to 1,000 projects, with the paths that they are at.
async fn walk(target: &Target, limit: usize) -> Result<Vec<(String, Page)>, Failure> {
    let mut sender = target.connect().await?;
    let (mut pages, mut next) = (Vec::new(), Some(page_path(limit, None)));
    while let Some(path) = next.take().filter(|_| pages.len() * limit < 1_000) {
        sender.ready().await?;
        let answer = sender.send_request(target.request(Method::GET, &path, "application/json", Bytes::new())).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("{status} for {path}: {}", String::from_utf8_lossy(&body)).into());
        }
        let page: Page = serde_json::from_slice(&body)?;
        next = page.next_cursor.as_deref().map(|cursor| page_path(limit, Some(cursor)));
        pages.push((path, page));
    }
    Ok(pages)
}
