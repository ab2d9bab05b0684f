//! One call of an operation: from the request as it came to the answer as it goes.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use axum::body::Body as HttpBody;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use parking_lot::{Mutex, MutexGuard};
use serde::de::DeserializeOwned;
use steward_auth::{Authority, Occasion, Scope};
use steward_base::{Ctx, Error, ErrorKind, TenantId};
use tracing::Instrument as _;

use crate::arrival::Arrival;
use crate::credentials;
use crate::etag;
use crate::idempotency::{self, Asked};
use crate::input::{self, Body, Fields};
use crate::operation::{Access, HeaderInput, Spec};
use crate::rate::Budget;
use crate::reply::{Output, Reply};
use crate::resource::By;
use crate::scope;
use crate::site::Site;

/// A request that was routed.
pub(crate) struct Incoming {
    pub(crate) site: Site,
    pub(crate) arrival: Arrival,
    pub(crate) parts: Parts,
    pub(crate) path: Vec<(String, String)>,
    pub(crate) body: HttpBody,
    pub(crate) learned: Learned,
}

/// What a request teaches on its way, as soon as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learned(Arc<LearnedParts>);

#[derive(Debug, Default)]
struct LearnedParts {
    tenant: OnceLock<TenantId>,
    budget: Mutex<Budget>,
}

impl Learned {
    pub(crate) fn tenant(&self) -> Option<TenantId> {
        self.0.tenant.get().copied()
    }

    pub(crate) fn budget(&self) -> MutexGuard<'_, Budget> {
        self.0.budget.lock()
    }
}

/// What a handler gets: its caller, its checked input, and the server.
#[derive(Debug)]
pub struct Call<P = (), Q = (), B = ()> {
    /// The caller; of a public operation the anonymous context, which is allowed nothing.
    pub ctx: Ctx,
    /// Path parameters.
    pub path: P,
    /// Query parameters.
    pub query: Q,
    /// The body.
    pub body: B,
    /// All headers.
    pub headers: HeaderMap,
    /// Where the caller's permission holds, `None` for everywhere in the tenant. Anything else comes only to operations that are `scoped`.
    pub scope: Option<Scope>,
    /// Request id, trace, address.
    pub arrival: Arrival,
    /// The server: clock, cursors, drain signal.
    pub site: Site,
    access: Access,
}

/// What let a caller in, to be asked again while an answer goes on.
#[derive(Debug)]
pub struct Standing {
    site: Site,
    headers: HeaderMap,
    access: Access,
    /// The caller as it was let in.
    ctx: Ctx,
    occasion: Occasion,
}

impl<P, Q, B> Call<P, Q, B> {
    /// This caller, as those who write records ask for it.
    pub(crate) fn by(&self) -> By<'_> {
        By { ctx: &self.ctx, scope: self.scope.as_ref(), now: self.site.clock().now() }
    }

    /// What let this caller in.
    pub fn standing(&self) -> Standing {
        Standing {
            site: self.site.clone(),
            headers: self.headers.clone(),
            access: self.access.clone(),
            ctx: self.ctx.clone(),
            occasion: self.arrival.occasion(self.ctx.reason()),
        }
    }
}

impl Standing {
    /// The server that was called.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// Ends when the caller would no longer be let in, or to something else: the credential has ended, or its permissions changed. A client that
    /// connects again goes on with what it may see now.
    pub(crate) async fn lost(self) {
        loop {
            tokio::time::sleep(self.site.limits().recheck).await;
            match self.still().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) if matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::Forbidden) => return,
                // The store is away: that says nothing about the caller.
                Err(_) => {}
            }
        }
    }

    async fn still(&self) -> Result<bool, Error> {
        if self.access == Access::Public {
            return Ok(true);
        }
        let presented = credentials::presented(&self.site, &self.headers)?.ok_or_else(credentials::absent)?;
        let ctx = self.site.authority().authenticate(&presented, self.occasion.clone()).await?;
        permitted(&self.access, &ctx)?;
        Ok(ctx.grants() == self.ctx.grants())
    }
}

/// Where the access holds for this caller; fails with `permission_denied`.
fn permitted(access: &Access, ctx: &Ctx) -> Result<Option<Scope>, Error> {
    match access {
        Access::Needs(permission) => steward_auth::require(ctx, permission),
        Access::SignedIn | Access::Public => Ok(None),
    }
}

/// Lets the caller in or fails with 401, 403 or 429; answers where the permission holds.
async fn admit(site: &Site, spec: &Spec, parts: &Parts, arrival: &Arrival, learned: &Learned) -> Result<(Ctx, Option<Scope>), Error> {
    let occasion = arrival.occasion(spec.id);
    if spec.first_party && parts.headers.contains_key(http::header::ORIGIN) {
        site.require_own_origin(&parts.headers)?;
    }
    if spec.access == Access::Public {
        site.limiter().stranger(spec.rate, arrival, &mut learned.budget())?;
        return Ok((Authority::anonymous(occasion), None));
    }
    let presented = credentials::presented(site, &parts.headers)?.ok_or_else(credentials::absent)?;
    let ctx = match site.authority().authenticate(&presented, occasion).await {
        Ok(ctx) => ctx,
        Err(error) if error.kind() == ErrorKind::Unauthenticated => {
            site.limiter().refused(arrival, &mut learned.budget())?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    // Set once per request; a second value cannot come.
    let _ = learned.0.tenant.set(ctx.tenant());
    site.limiter().caller(spec.rate, &ctx, &mut learned.budget())?;
    credentials::check_origin(site, &parts.method, &parts.headers, &presented)?;
    credentials::check_tenant(&parts.headers, &ctx)?;
    let scope = permitted(&spec.access, &ctx)?;
    // Forgetting to look at the scope must be safe: only who says that it does is called with one.
    if scope.is_some() && !spec.scoped {
        return Err(scope::not_supported());
    }
    Ok((ctx, scope))
}

impl<P: DeserializeOwned, Q: DeserializeOwned, B: Body> Call<P, Q, B> {
    /// Admits the caller, then reads path, query and body, in this order: a stranger learns nothing about inputs.
    pub(crate) async fn read(spec: &Spec, path: &Fields, query: &Fields, incoming: Incoming) -> Result<Self, Error> {
        let Incoming { site, arrival, parts, path: pairs, body, learned } = incoming;
        let (ctx, scope) = admit(&site, spec, &parts, &arrival, &learned).await?;
        let key = idempotency::key(spec, &parts.headers)?;
        let path = path.read_path(&pairs)?;
        // A page's query belongs to the application that the page holds.
        let sent = if spec.undocumented.is_some() { None } else { parts.uri.query() };
        let query = query.read_query(sent.unwrap_or_default())?;
        let (part, digest) = if spec.body.streamed {
            let (part, digest) = input::receive(body, &parts.headers, &spec.body, &site, ctx.tenant()).await?;
            (part, Some(digest))
        } else if spec.body.media_types.is_empty() {
            (input::RawPart::default(), None)
        } else {
            (input::collect(body, &parts.headers, &spec.body, site.limits()).await?, None)
        };
        let ctx = match key {
            Some(key) => {
                let asked =
                    Asked { uri: &parts.uri, scope: scope.as_ref(), body: digest.as_ref().map_or(&part.bytes[..], |digest| &digest[..]) };
                let attempt = idempotency::attempt(&site, spec, &ctx, key, &asked);
                ctx.attempting(Some(attempt))
            }
            None => ctx,
        };
        let body = B::read(part, &spec.body)?;
        Ok(Self { ctx, path, query, body, headers: parts.headers, scope, arrival, site, access: spec.access.clone() })
    }
}

/// Runs a handler. One that changes something runs in a task of its own, so that a client that hangs up cannot stop it halfway.
pub(crate) async fn run<T: Send + 'static>(spec: &Spec, work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    if spec.mutates() {
        return match tokio::spawn(work.in_current_span()).await {
            Ok(result) => result,
            Err(failed) => Err(match failed.try_into_panic() {
                Ok(payload) => panicked(&*payload),
                Err(cancelled) => Error::internal(cancelled),
            }),
        };
    }
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|payload| Err(panicked(&*payload)))
}

/// A reference to what is not there is well formed: the state of things forbids it.
pub(crate) fn missing_reference(error: Error) -> Error {
    if error.kind() != ErrorKind::Invalid
        || error.fields().is_empty()
        || error.fields().iter().any(|field| field.code != "reference_missing")
    {
        return error;
    }
    let conflict = Error::new(ErrorKind::Conflict, "reference_missing", "A field refers to a record that is not there; see errors.");
    error.fields().iter().fold(conflict, |error, field| error.with_field(field.pointer.clone(), field.code.clone(), field.detail.clone()))
}

pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Error {
    let message = payload.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| payload.downcast_ref::<String>().cloned());
    Error::internal(format!("a handler panicked: {}", message.unwrap_or_default()))
}

/// The answer: 304 where the client has it already, otherwise status, headers and body.
pub(crate) fn respond<O: Output>(spec: &Spec, conditions: &HeaderMap, reply: Reply<O>) -> Result<Response, Error> {
    let Reply { status, headers, body } = reply;
    let mut response = Response::new(HttpBody::empty());
    *response.status_mut() = status.unwrap_or(spec.status);
    *response.headers_mut() = headers;
    let unchanged = spec.method == Method::GET && spec.reads(HeaderInput::IfNoneMatch) && has_already(conditions, response.headers())?;
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let (media_type, bytes) = body.into_body()?;
        if let Some(media_type) = media_type {
            response.headers_mut().entry(CONTENT_TYPE).or_insert(media_type);
        }
        *response.body_mut() = bytes;
    }
    // An answer with a tag may be kept and asked for again; any other is this caller's, now.
    let cache = if response.headers().contains_key(ETAG) { "private, no-cache" } else { "no-store" };
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static(cache));
    Ok(response)
}

fn has_already(conditions: &HeaderMap, headers: &HeaderMap) -> Result<bool, Error> {
    let Some(named) = etag::if_none_match(conditions)? else { return Ok(false) };
    let version = headers.get(ETAG).and_then(|tag| tag.to_str().ok()?.trim_matches('"').parse().ok());
    Ok(version.is_some_and(|version| named.includes(version)))
}
