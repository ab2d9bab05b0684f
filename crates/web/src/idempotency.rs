//! Requests that may be repeated under a key: one effect, one answer, whatever became of the connection or the process in between.
//!
//! The first commit under a key claims it, in the same transaction as the effect. The answer is kept by a second commit before it is sent.
//! Between the two, a crash leaves a key without an answer: whoever repeats the request is told so, and what was written, and nothing is done
//! again. A request that fails before it wrote anything is not remembered.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use parking_lot::Mutex;
use steward_auth::{Earlier, Scope};
use steward_base::{Attempt, AttemptKey, Ctx, Error, ErrorKind, TenantId};
use steward_store::in_flight;

use crate::operation::{HeaderInput, RateClass, Spec};
use crate::site::Site;

/// The request header.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long a key is remembered.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Most bytes of an answer that is kept.
const MAX_ANSWER: u64 = 256 << 10;
/// Most characters of a key.
const MAX_KEY: usize = 255;
/// How long another process is believed to be still at it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The headers that belong to an answer; the others belong to the connection or to the layers.
const KEPT_HEADERS: [HeaderName; 5] = [CONTENT_TYPE, ETAG, LOCATION, CONTENT_DISPOSITION, CACHE_CONTROL];

/// The key that a request came with.
///
/// Fails with `malformed_idempotency_key`, or `idempotency_key_unsupported` where no operation would look at it: silence would promise what
/// is not kept.
pub(crate) fn key(spec: &Spec, headers: &HeaderMap) -> Result<Option<Arc<str>>, Error> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next().filter(|_| spec.method == Method::POST) else { return Ok(None) };
    // Telemetry knows its deliveries itself.
    if spec.rate == RateClass::Ingest {
        return Ok(None);
    }
    if !spec.reads(HeaderInput::IdempotencyKey) {
        let detail = "This operation takes no Idempotency-Key: it knows no caller to keep one for.";
        return Err(Error::new(ErrorKind::Malformed, "idempotency_key_unsupported", detail));
    }
    let text = value.to_str().ok().filter(|_| values.next().is_none()).map(str::trim);
    // The draft standard writes it as a quoted string; most clients send it bare.
    let bare = text.map(|text| text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text));
    let sane = |text: &&str| (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    bare.filter(sane).map(|text| Some(text.into())).ok_or_else(|| {
        let detail = format!("An Idempotency-Key is 1 to {MAX_KEY} visible ASCII characters, such as a UUID, and comes once.");
        Error::new(ErrorKind::Malformed, "malformed_idempotency_key", detail)
    })
}

/// What a caller asks for, besides the key.
pub(crate) struct Asked<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) scope: Option<&'a Scope>,
    pub(crate) body: &'a [u8],
}

impl Asked<'_> {
    fn digest(&self) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        let target = self.uri.path_and_query().map_or("", |target| target.as_str());
        let scope = self.scope.map(ToString::to_string).unwrap_or_default();
        for part in [target.as_bytes(), scope.as_bytes(), self.body] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// The attempt that a request with a key is.
pub(crate) fn attempt(site: &Site, spec: &Spec, ctx: &Ctx, key: Arc<str>, asked: &Asked<'_>) -> Arc<Attempt> {
    let mut marks = site.authority().request_marks(ctx.tenant(), &asked.digest());
    let formerly = marks.split_off(1);
    Arc::new(Attempt {
        tenant: ctx.tenant(),
        key: AttemptKey { principal: ctx.actor().into(), operation: spec.id.into(), key },
        request: marks[0],
        formerly,
        nonce: site.random().bytes(),
        until: site.clock().now().plus(KEPT),
    })
}

/// The attempts that this process works on.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<(TenantId, AttemptKey)>>>);

/// One of them; it ends when this is dropped.
#[derive(Debug)]
struct Held {
    all: InFlight,
    entry: (TenantId, AttemptKey),
}

impl InFlight {
    fn hold(&self, attempt: &Attempt) -> Option<Held> {
        let entry = (attempt.tenant, attempt.key.clone());
        self.0.lock().insert(entry.clone()).then(|| Held { all: self.clone(), entry })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.entry);
    }
}

/// What is to be done about a request.
pub(crate) enum Turn {
    /// It is to be worked on.
    Work(Work),
    /// It was answered before.
    Again(Response),
}

/// A request in work; nothing of this is kept for one without a key.
pub(crate) struct Work(Option<(Site, Ctx, Held)>);

/// Looks whether the request was made before.
///
/// Fails with `idempotency_in_flight`, `idempotency_key_reused` or `idempotency_answer_lost`.
pub(crate) async fn begin(site: &Site, ctx: &Ctx) -> Result<Turn, Error> {
    let Some(attempt) = ctx.attempt() else { return Ok(Turn::Work(Work(None))) };
    let held = site.in_flight().hold(attempt).ok_or_else(in_flight)?;
    match site.authority().earlier(ctx).await? {
        None => Ok(Turn::Work(Work(Some((site.clone(), ctx.clone(), held))))),
        Some(Earlier::Answered(status, rest)) => Ok(Turn::Again(read(status, rest.expose())?)),
        Some(Earlier::Unanswered { since, ended: false, .. })
            if site.authority().has_peers() && site.clock().now().since(since) < PATIENCE =>
        {
            Err(in_flight())
        }
        Some(Earlier::Unanswered { ended, written, .. }) => Err(lost(ended, &written)),
    }
}

impl Work {
    /// Keeps the answer before it is sent.
    pub(crate) async fn end(self, response: Response) -> Result<Response, Error> {
        let Some((site, ctx, _held)) = self.0 else { return Ok(response) };
        let (parts, body) = response.into_parts();
        let (body, rest) = match body.size_hint().exact() {
            Some(size) if size <= MAX_ANSWER => {
                let bytes = body.collect().await.map_err(Error::internal)?.to_bytes();
                let rest = write(&parts.headers, &bytes);
                (Body::from(bytes), Some(rest))
            }
            _ => (body, None),
        };
        // The effect is there whether or not its answer can be kept: refusing now would be a lie. Whoever repeats it is told of the loss.
        if let Err(error) = site.authority().keep_answer(&ctx, parts.status.as_u16(), rest.as_deref()).await {
            tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "the answer to a repeatable request cannot be kept");
        }
        Ok(Response::from_parts(parts, body))
    }
}

fn lost(ended: bool, written: &[String]) -> Error {
    let why = if ended { "was too large to be kept" } else { "was lost, or never given" };
    let detail = format!(
        "The first request with this Idempotency-Key had an effect, and its answer {why}. It is not done again: look at what it wrote, which errors names."
    );
    let error = Error::new(ErrorKind::Conflict, "idempotency_answer_lost", detail);
    written.iter().take(100).fold(error, |error, id| error.with_field("", "written_before", id.clone()))
}

/// Headers, an empty line, the body.
fn write(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 256);
    for name in KEPT_HEADERS {
        if let Some(value) = headers.get(&name) {
            out.extend_from_slice(name.as_str().as_bytes());
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
            out.push(b'\n');
        }
    }
    out.push(b'\n');
    out.extend_from_slice(body);
    out
}

fn read(status: u16, kept: &[u8]) -> Result<Response, Error> {
    let damaged = || Error::internal("a kept answer cannot be read");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).map_err(Error::internal)?;
    let mut rest = kept;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(damaged)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(Error::internal)?;
        response.headers_mut().insert(name, HeaderValue::from_bytes(&line[colon + 1..]).map_err(Error::internal)?);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    *response.body_mut() = Body::from(rest.to_vec());
    Ok(response)
}
