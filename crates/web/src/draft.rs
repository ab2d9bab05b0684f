//! Writing down an operation.

use std::future::Future;
use std::sync::Arc;

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use steward_base::Error;
use steward_store::Act;

use crate::call::{self, Call};
use crate::error_form::ErrorForm;
use crate::idempotency::{self, Turn};
use crate::input::{Body, Fields, Place};
use crate::operation::{Access, Endpoint, HeaderInput, Operation, RateClass, Spec};
use crate::reply::{Output, Reply};
use crate::schema;

/// An operation in the making. Who may call it must be said: by `needs`, `signed_in` or `public`.
#[derive(Debug)]
pub struct Draft {
    spec: Spec,
    access: Option<Access>,
    media_types: Option<Vec<&'static str>>,
    body_schema: Option<Value>,
    documented_body: Option<Value>,
    output_schema: Option<Value>,
    query_schema: Option<Value>,
    status: Option<StatusCode>,
}

/// Starts an operation.
pub fn operation(id: &'static str, method: Method, path: impl Into<String>) -> Draft {
    let rate = if matches!(method, Method::GET | Method::HEAD) { RateClass::Read } else { RateClass::Write };
    let spec = Spec {
        id,
        method,
        path: path.into(),
        summary: String::new(),
        description: String::new(),
        tag: String::new(),
        access: Access::Public,
        rate,
        scoped: false,
        reads_kind: None,
        changes_kind: None,
        undocumented: None,
        headers: Vec::new(),
        path_schema: Value::Null,
        query_schema: Value::Null,
        body: <() as Body>::rules(None),
        body_examples: Vec::new(),
        status: StatusCode::OK,
        content: Vec::new(),
        example: None,
        etag: false,
        also: Vec::new(),
        errors: Vec::new(),
        error_form: None,
        first_party: false,
    };
    Draft {
        spec,
        access: None,
        media_types: None,
        body_schema: None,
        documented_body: None,
        output_schema: None,
        query_schema: None,
        status: None,
    }
}

impl Draft {
    /// Only holders of this permission, such as `devices:read`, may call it.
    ///
    /// # Panics
    /// When the text is no permission, which shows when the server starts.
    #[must_use]
    pub fn needs(mut self, permission: &str) -> Self {
        let permission = permission.parse().unwrap_or_else(|error| panic!("{}: {error}", self.spec.id));
        self.access = Some(Access::Needs(permission));
        self
    }

    /// Everybody with a valid credential may call it.
    #[must_use]
    pub fn signed_in(mut self) -> Self {
        self.access = Some(Access::SignedIn);
        self
    }

    /// Everybody may call it; the handler gets the anonymous context, which is allowed nothing.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.access = Some(Access::Public);
        self
    }

    /// One line, without a full stop.
    #[must_use]
    pub fn summary(mut self, text: impl Into<String>) -> Self {
        self.spec.summary = text.into();
        self
    }

    /// What a caller must know beyond the summary.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.spec.description = text.into();
        self
    }

    /// The slice it belongs to, as in `devices`.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.spec.tag = tag.into();
        self
    }

    /// The budget it counts against, where that does not follow from the method.
    #[must_use]
    pub fn rate(mut self, class: RateClass) -> Self {
        self.spec.rate = class;
        self
    }

    /// The handler keeps to `call.scope`. Without this, callers whose permission is scoped are refused with `scope_not_supported`.
    #[must_use]
    pub fn scoped(mut self) -> Self {
        self.spec.scoped = true;
        self
    }

    /// It reads the records of this kind one by one: the permission for it shows their events as well.
    #[must_use]
    pub fn reads_kind(mut self, kind: &'static str) -> Self {
        self.spec.reads_kind = Some(kind);
        self
    }

    /// It does this to records of the kind as they are asked for, and nothing besides.
    #[must_use]
    pub(crate) fn changes_kind(mut self, kind: &'static str, act: Act) -> Self {
        self.spec.changes_kind = Some((kind, act));
        self
    }

    /// Called by this server's own pages: a browser on any other page is refused with `origin_mismatch`.
    #[must_use]
    pub fn first_party(mut self) -> Self {
        self.spec.first_party = true;
        self
    }

    /// Leaves it out of the document.
    #[must_use]
    pub fn undocumented(mut self, reason: &'static str) -> Self {
        self.spec.undocumented = Some(reason);
        self
    }

    /// A header that it reads; `IfMatch` also documents 412 and 428, `IfNoneMatch` 304.
    #[must_use]
    pub fn reads(mut self, header: HeaderInput) -> Self {
        self.spec.headers.push(header);
        self
    }

    /// The media types of the body, for [`crate::Raw`].
    #[must_use]
    pub fn media_types(mut self, types: &[&'static str]) -> Self {
        self.media_types = Some(types.to_vec());
        self
    }

    /// Encodings of the body besides `identity`; the handler unpacks.
    #[must_use]
    pub fn encodings(mut self, encodings: &[&'static str]) -> Self {
        self.spec.body.encodings = encodings.to_vec();
        self
    }

    /// The most bytes of the body as it is sent.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.spec.body.limit = Some(bytes);
        self
    }

    /// Describes the body in place of its type's own schema; the handler or the store checks it.
    #[must_use]
    pub fn body_schema(mut self, schema: Value) -> Self {
        self.body_schema = Some(schema);
        self
    }

    /// Describes the body more closely than its type, which checks it, does; the handler checks the rest.
    #[must_use]
    pub(crate) fn documented_body(mut self, schema: Value) -> Self {
        self.documented_body = Some(schema);
        self
    }

    /// Describes the query more closely than its type does; the handler checks what the type does not.
    #[must_use]
    pub(crate) fn documented_query(mut self, schema: Value) -> Self {
        self.query_schema = Some(schema);
        self
    }

    /// Describes success in place of its type's own schema; fields that a kind marks as secret are left out.
    #[must_use]
    pub fn output_schema(mut self, mut schema: Value) -> Self {
        schema::without_secrets(&mut schema);
        self.output_schema = Some(schema);
        self
    }

    /// An example of the body.
    #[must_use]
    pub fn body_example(mut self, name: &'static str, value: Value) -> Self {
        self.spec.body_examples.push((name, value));
        self
    }

    /// An example of success.
    #[must_use]
    pub fn example(mut self, value: Value) -> Self {
        self.spec.example = Some(value);
        self
    }

    /// The status of success, where it is not 200, or 204 without a body.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Success carries an `ETag`.
    #[must_use]
    pub fn etag(mut self) -> Self {
        self.spec.etag = true;
        self
    }

    /// A further answer that is no problem, such as 303.
    #[must_use]
    pub fn also(mut self, status: StatusCode, when: &'static str) -> Self {
        self.spec.also.push((status, when));
        self
    }

    /// A refusal of this operation's own, by status and stable code.
    #[must_use]
    pub fn error(mut self, status: StatusCode, code: &'static str) -> Self {
        self.spec.errors.push((status, code));
        self
    }

    /// Errors take the form of the operation's protocol; only OAuth, OTLP and the other exceptions of the design do that.
    #[must_use]
    pub fn error_form(mut self, form: ErrorForm) -> Self {
        self.spec.error_form = Some(form);
        self
    }
}

impl Draft {
    /// Completes the operation. `P` and `Q` are the types of path and query, `()` for none; `B` is the body and `O` the answer.
    ///
    /// # Panics
    /// When nobody said who may call it, which shows when the server starts.
    pub fn handle<S, P, Q, B, O, F, R>(mut self, state: S, handler: F) -> Operation
    where
        S: Clone + Send + Sync + 'static,
        P: DeserializeOwned + JsonSchema + Send + 'static,
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        B: Body,
        O: Output,
        F: Fn(S, Call<P, Q, B>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Reply<O>, Error>> + Send + 'static,
    {
        let access = self.access.take().unwrap_or_else(|| panic!("{} does not say who may call it", self.spec.id));
        self.spec.access = access;
        if self.spec.may_be_repeated() {
            self.spec.headers.push(HeaderInput::IdempotencyKey);
        }
        let (path, query) = (Fields::of::<P>(Place::Path), Fields::of::<Q>(Place::Query));
        let replaced = self.body_schema.is_some();
        let mut body = B::rules(self.body_schema.take());
        body.limit = self.spec.body.limit;
        body.encodings = std::mem::take(&mut self.spec.body.encodings);
        if let Some(types) = self.media_types.take() {
            body.media_types = types;
        }
        if replaced {
            body.checker = None;
        }
        if let Some(documented) = self.documented_body.take() {
            body.schema = Some(documented);
        }
        self.spec.body = body;
        self.spec.path_schema = path.schema().clone();
        self.spec.query_schema = self.query_schema.take().unwrap_or_else(|| query.schema().clone());
        self.spec.content = O::content(self.output_schema.take());
        self.spec.status = self.status.unwrap_or(O::STATUS);
        let spec = Arc::new(self.spec);
        let inputs = Arc::new((path, query));
        let own = Arc::clone(&spec);
        let endpoint: Endpoint = Arc::new(move |incoming| {
            let (spec, inputs, state, handler) = (Arc::clone(&own), Arc::clone(&inputs), state.clone(), handler.clone());
            Box::pin(async move {
                let call = Call::read(&spec, &inputs.0, &inputs.1, incoming).await?;
                let conditions = call.headers.clone();
                let work = match idempotency::begin(&call.site, &call.ctx).await? {
                    Turn::Work(work) => work,
                    Turn::Again(response) => return Ok(response),
                };
                let own = Arc::clone(&spec);
                call::run(&spec, async move {
                    let reply = handler(state, call).await.map_err(call::missing_reference)?;
                    work.end(call::respond(&own, &conditions, reply)?).await
                })
                .await
            })
        });
        Operation { spec, endpoint, importer: None }
    }
}
