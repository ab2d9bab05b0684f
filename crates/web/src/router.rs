//! From the table of operations to a router: nothing else is routed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::response::Response;
use axum::routing::any;
use http::header::ALLOW;
use http::{HeaderValue, Method};
use steward_base::{Error, ErrorKind, Permission, TenantId};
use steward_store::Act;

use crate::arrival::Arrival;
use crate::call::{Incoming, Learned};
use crate::imports::Imports;
use crate::layers;
use crate::metrics::Meter;
use crate::openapi;
use crate::operation::{Access, Operation};
use crate::problem;
use crate::site::Site;

/// The table of operations.
#[derive(Clone, Debug, Default)]
pub struct Operations {
    list: Vec<Operation>,
    tags: BTreeMap<&'static str, &'static str>,
}

/// What an answer tells the layers around it: which operation it is of, and for which tenant. A response extension.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) route: Arc<str>,
    pub(crate) operation: &'static str,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) meter: Arc<Meter>,
}

/// The operations of one path.
struct Page {
    route: Arc<str>,
    site: Site,
    methods: Vec<(Method, Operation, Arc<Meter>)>,
    allow: HeaderValue,
}

impl Operations {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds operations.
    ///
    /// # Panics
    /// When an id, or a method and path, is taken: the table is one list and shows its defects when the server starts.
    #[must_use]
    pub fn with(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        for operation in operations {
            let (new, shape) = (&operation.spec, shape(&operation.spec.path));
            let taken = self
                .list
                .iter()
                .find(|known| known.spec.id == new.id || (known.spec.method == new.method && self::shape(&known.spec.path) == shape));
            assert!(taken.is_none(), "{operation:?} and {taken:?} cannot both be in the table");
            self.list.push(operation);
        }
        self
    }

    /// Says in one sentence what a tag's operations are about.
    #[must_use]
    pub fn tag(mut self, name: &'static str, description: &'static str) -> Self {
        self.tags.insert(name, description);
        self
    }

    pub(crate) fn tag_description(&self, name: &str) -> Option<&'static str> {
        self.tags.get(name).copied()
    }

    /// The OpenAPI document of the table.
    pub fn document(&self, version: &str) -> serde_json::Value {
        openapi::document(self, version)
    }

    /// What takes files in for the kinds of this table.
    pub fn imports(&self, site: &Site) -> Imports {
        Imports::new(self.list.iter().filter_map(|operation| operation.importer.clone()).collect(), site.clone())
    }

    /// Every operation.
    pub fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.list.iter()
    }

    /// The permission that reads the records of a kind, by the kind's name.
    fn readers(&self) -> BTreeMap<&'static str, Permission> {
        let reader = |operation: &Operation| match (operation.spec.reads_kind, &operation.spec.access) {
            (Some(kind), Access::Needs(permission)) => Some((kind, permission.clone())),
            _ => None,
        };
        self.list.iter().filter_map(reader).collect()
    }

    /// The permissions that change records of a kind in some way.
    fn changers(&self) -> BTreeMap<(&'static str, Act), Permission> {
        let changer = |operation: &Operation| match (operation.spec.changes_kind, &operation.spec.access) {
            (Some(change), Access::Needs(permission)) => Some((change, permission.clone())),
            _ => None,
        };
        self.list.iter().filter_map(changer).collect()
    }

    /// The router, with all layers around it.
    pub fn router(&self, site: &Site) -> Router {
        let document = self.document(&site.settings().version.version).to_string();
        site.keep_document(document.into());
        site.keep_readers(self.readers());
        site.keep_changers(self.changers());
        let mut pages: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.list {
            pages.entry(&operation.spec.path).or_default().push(operation);
        }
        let mut router = Router::new();
        for (path, operations) in pages {
            let page = Arc::new(Page::new(site, path, &operations));
            router = router.route(path, any(move |request: Request| page.serve(request)));
        }
        let lost = site.clone();
        let router = router.fallback(move |request: Request| {
            let site = lost.clone();
            async move { not_found(&site, &request) }
        });
        layers::around(router, site)
    }
}

/// The path with its parameters' names left out: two paths that differ only in those are the same.
fn shape(path: &str) -> String {
    path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect::<Vec<_>>().join("/")
}

impl Page {
    fn new(site: &Site, path: &str, operations: &[&Operation]) -> Self {
        let methods: Vec<_> = operations
            .iter()
            .map(|operation| {
                let method = operation.spec.method.clone();
                let label = label(&method);
                (method, (*operation).clone(), site.metrics().route(label, path))
            })
            .collect();
        let mut names: Vec<&str> = methods.iter().map(|(method, ..)| method.as_str()).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        let allow = HeaderValue::try_from(names.join(", ")).expect("method names are header values");
        Self { route: path.into(), site: site.clone(), methods, allow }
    }

    async fn serve(self: Arc<Self>, request: Request) -> Response {
        // HEAD is GET whose body the server leaves out.
        let wanted = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let Some((_, operation, meter)) = self.methods.iter().find(|(method, ..)| method == wanted) else {
            return self.wrong_method(&request);
        };
        let (mut parts, body) = request.into_parts();
        let arrival = arrival(&parts.extensions, &self.site, parts.uri.path());
        let learned = Learned::default();
        let headers = operation.spec.error_form.is_some().then(|| parts.headers.clone());
        let path = match RawPathParams::from_request_parts(&mut parts, &()).await {
            Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            // Not UTF-8: no such page.
            Err(_) => return problem::respond(&self.site, &arrival, &Error::not_found("page")),
        };
        let incoming = Incoming { site: self.site.clone(), arrival: arrival.clone(), parts, path, body, learned: learned.clone() };
        let mut response = match (operation.endpoint)(incoming).await {
            Ok(response) => response,
            Err(error) => match (&operation.spec.error_form, headers) {
                (Some(form), Some(headers)) => {
                    problem::log(&arrival, &error);
                    let mut response = (form.write)(&error, &headers);
                    problem::decorate(&mut response, &error);
                    response
                }
                _ => problem::respond(&self.site, &arrival, &error),
            },
        };
        learned.budget().write(response.headers_mut());
        response.extensions_mut().insert(Answered {
            route: Arc::clone(&self.route),
            operation: operation.spec.id,
            tenant: learned.tenant(),
            meter: Arc::clone(meter),
        });
        response
    }

    fn wrong_method(&self, request: &Request) -> Response {
        let arrival = arrival(request.extensions(), &self.site, request.uri().path());
        let detail = format!("Only {} can be used here.", self.allow.to_str().unwrap_or_default());
        let mut response = problem::respond(&self.site, &arrival, &Error::new(ErrorKind::MethodNotAllowed, "method_not_allowed", detail));
        response.headers_mut().insert(ALLOW, self.allow.clone());
        response
    }
}

fn not_found(site: &Site, request: &Request) -> Response {
    let arrival = arrival(request.extensions(), site, request.uri().path());
    let detail = "There is nothing at this path. The document at /api/openapi.json lists what there is.";
    problem::respond(site, &arrival, &Error::new(ErrorKind::NotFound, "not_found", detail))
}

/// The trace layer leaves it; a router driven without the layers makes its own.
pub(crate) fn arrival(extensions: &http::Extensions, site: &Site, path: &str) -> Arrival {
    extensions.get::<Arrival>().cloned().unwrap_or_else(|| Arrival::read(&http::HeaderMap::new(), path, None, &[], site.random()))
}

fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "OTHER",
    }
}
