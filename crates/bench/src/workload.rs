//! What the requests are: the projects resource as both Steward and its peer serve it, and log lines.

use std::fmt::Write as _;

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

/// Lines of one ingest request.
const LINES_PER_REQUEST: u64 = 2_000;

/// What every request of a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// POST a project.
    Create,
    /// GET one of up to 1,000 projects.
    Get,
    /// GET the first 50 projects.
    List,
    /// POST 2,000 log lines as JSON lines.
    Ingest,
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
    Get(Vec<String>),
    List,
    Ingest(Vec<Bytes>),
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
            Workload::Ingest => "ingest",
        }
    }

    /// Gathers what the requests need before anything is measured.
    pub(crate) async fn prepare(self, target: &Target) -> Result<Requests, Failure> {
        Ok(match self {
            Workload::Create => Requests::Create,
            Workload::Get => Requests::Get(project_paths(target).await?),
            Workload::List => Requests::List,
            Workload::Ingest => Requests::Ingest((0..8).map(log_lines).collect()),
        })
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
            Requests::List => (target.request(Method::GET, "/api/v1/projects?limit=50", json, Bytes::new()), StatusCode::OK),
            Requests::Ingest(bodies) => {
                let body = bodies[usize::try_from(number).unwrap_or_default() % bodies.len()].clone();
                (target.request(Method::POST, "/ingest/v1/bench", "application/x-ndjson", body), StatusCode::OK)
            }
        }
    }
}

fn project(number: u64) -> Bytes {
    let description = "a project to look after ".repeat(8);
    let body = serde_json::json!({ "name": format!("project {number}"), "path": format!("/srv/{number}"), "description": description });
    Bytes::from(body.to_string())
}

/// About 250 bytes a line, like what a web service logs.
fn log_lines(batch: u64) -> Bytes {
    const LEVELS: [&str; 5] = ["debug", "info", "info", "warn", "error"];
    let mut lines = String::new();
    for number in batch * LINES_PER_REQUEST..(batch + 1) * LINES_PER_REQUEST {
        let level = LEVELS[usize::try_from(number % 5).unwrap_or_default()];
        writeln!(
            lines,
            r#"{{"severity":"{level}","service":"checkout-{}","message":"GET /api/orders/{} answered {} after {} ms","http.request.method":"GET","http.response.status_code":{},"url.path":"/api/orders/{}","client.address":"10.0.{}.{}"}}"#,
            number % 20,
            number * 7919 % 100_000,
            200 + number % 4,
            number % 997,
            200 + number % 4,
            number * 7919 % 100_000,
            number % 250,
            number % 199,
        )
        .expect("writing to a string cannot fail");
    }
    Bytes::from(lines)
}

async fn project_paths(target: &Target) -> Result<Vec<String>, Failure> {
    let mut sender = target.connect().await?;
    let mut paths = Vec::new();
    let mut path = "/api/v1/projects?limit=500".to_owned();
    while paths.len() < 1_000 {
        sender.ready().await?;
        let answer = sender.send_request(target.request(Method::GET, &path, "application/json", Bytes::new())).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            return Err(format!("{status} for {path}: {}", String::from_utf8_lossy(&body)).into());
        }
        let page: Page = serde_json::from_slice(&body)?;
        paths.extend(page.data.iter().map(|project| format!("/api/v1/projects/{}", project.id)));
        match page.next_cursor {
            Some(cursor) => {
                path = format!(
                    "/api/v1/projects?limit=500&cursor={}",
                    url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect::<String>()
                );
            }
            None => break,
        }
    }
    if paths.is_empty() { Err("there is no project to get: run `create` first".into()) } else { Ok(paths) }
}
