//! The standard operations of a kind: list, get, create, update, delete, restore, history.
//!
//! What a kind's owner adds are hooks: they see the change before it is committed, may refuse or complete it, and may add events and further
//! writes to the same unit of work.

mod batch;
mod export;
mod history;
mod import;
mod list;
mod one;
mod reveal;
mod schemas;
mod table;
mod write;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::{Ctx, Error, Id, Prefix, RecordId};
use steward_store::{Act, Kind, Model, Record, Store, UnitOfWork};

use crate::draft::Draft;
use crate::draft::operation;
use crate::operation::{HeaderInput, Operation};
use crate::schema::Checker;
use write::Verbs;

pub(crate) use table::{Column, columns, read as read_line};
pub(crate) use write::{By, Taken, Writer};

/// The path parameter of operations on one record: the id with the kind's prefix; anything else is a page that does not exist.
#[derive(Deserialize, JsonSchema)]
#[serde(bound = "")]
#[schemars(bound = "", inline)]
pub struct ById<M: Model> {
    /// The record's id.
    pub id: Id<OfKind<M>>,
}

impl<M: Model> fmt::Debug for ById<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)
    }
}

/// The prefix of a kind's ids.
pub struct OfKind<M>(PhantomData<fn() -> M>);

impl<M: Model> Prefix for OfKind<M> {
    const PREFIX: &'static str = M::PREFIX;
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Give it as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
    /// Whether there is a next page. A page may be short, even empty, and have one.
    pub has_more: bool,
    /// How many there are in all, when `count=exact` was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
}

/// A change about to be committed, as hooks see it.
#[derive(Debug)]
pub struct Change {
    /// The record's id, also of one that is being created.
    pub id: RecordId,
    /// The record as it is; `None` when it is being created.
    pub before: Option<Record>,
    /// The body as it will be; of no meaning when the record is being deleted.
    pub body: Map<String, Value>,
    /// Goes into the same commit: events, guards, other records.
    pub unit: UnitOfWork,
}

type Hook = Arc<dyn Fn(Ctx, Change) -> BoxFuture<'static, Result<Change, Error>> + Send + Sync>;

/// What the standard operations of a kind are to be like.
#[derive(Clone)]
pub struct Resource<M> {
    plural: &'static str,
    noun: String,
    tag: &'static str,
    permission: &'static str,
    create: bool,
    update: bool,
    delete: bool,
    restore: bool,
    example: Option<Value>,
    on_create: Option<Hook>,
    on_update: Option<Hook>,
    on_delete: Option<Hook>,
    model: PhantomData<fn() -> M>,
}

impl<M: Model> Resource<M> {
    /// All seven operations under `/api/v1/<plural>`, with the plural as tag and as resource of the permissions.
    pub fn new(plural: &'static str) -> Self {
        Self {
            plural,
            noun: M::KIND.replace('_', " "),
            tag: plural,
            permission: plural,
            create: true,
            update: true,
            delete: true,
            restore: true,
            example: None,
            on_create: None,
            on_update: None,
            on_delete: None,
            model: PhantomData,
        }
    }

    /// Another tag.
    #[must_use]
    pub fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// Another resource in the permissions `<resource>:read`, `:write` and `:delete`.
    #[must_use]
    pub fn permission(mut self, resource: &'static str) -> Self {
        self.permission = resource;
        self
    }

    /// Records come from elsewhere.
    #[must_use]
    pub fn without_create(mut self) -> Self {
        self.create = false;
        self
    }

    /// Records never change by hand.
    #[must_use]
    pub fn without_update(mut self) -> Self {
        self.update = false;
        self
    }

    /// Records are never deleted by hand, and so not restored either.
    #[must_use]
    pub fn without_delete(mut self) -> Self {
        self.delete = false;
        self
    }

    /// What is deleted stays deleted: credentials, which somebody relies on being revoked.
    #[must_use]
    pub fn without_restore(mut self) -> Self {
        self.restore = false;
        self
    }

    /// A body to create one with, for the document.
    #[must_use]
    pub fn example(mut self, body: Value) -> Self {
        self.example = Some(body);
        self
    }

    /// Runs before a record is created: completes read-only fields, checks what no schema can.
    #[must_use]
    pub fn on_create<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx, Change) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Change, Error>> + Send + 'static,
    {
        self.on_create = Some(boxed(hook));
        self
    }

    /// Runs before a record is changed; again when another change came between.
    #[must_use]
    pub fn on_update<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx, Change) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Change, Error>> + Send + 'static,
    {
        self.on_update = Some(boxed(hook));
        self
    }

    /// Runs before a record is deleted.
    #[must_use]
    pub fn on_delete<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Ctx, Change) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Change, Error>> + Send + 'static,
    {
        self.on_delete = Some(boxed(hook));
        self
    }
}

impl<M: Model> Resource<M> {
    fn writer(&self, store: &Store, kind: &Arc<Kind>) -> Writer {
        let permission = |can: bool, right: &str| {
            let text = format!("{}:{right}", self.permission);
            can.then(|| text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.plural)))
        };
        Writer {
            store: store.clone(),
            kind: kind.clone(),
            noun: self.noun.clone(),
            verbs: Verbs {
                create: permission(self.create, "write"),
                update: permission(self.update, "write"),
                delete: permission(self.delete, "delete"),
            },
            on_create: self.on_create.clone(),
            on_update: self.on_update.clone(),
            on_delete: self.on_delete.clone(),
            stored: Checker::new(&kind.body_schema()),
        }
    }
}

impl<M> fmt::Debug for Resource<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resource({})", self.plural)
    }
}

fn boxed<F, R>(hook: F) -> Hook
where
    F: Fn(Ctx, Change) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Change, Error>> + Send + 'static,
{
    Arc::new(move |ctx, change| Box::pin(hook(ctx, change)))
}

/// What the handlers of one resource share.
struct State<M> {
    store: Store,
    kind: Arc<Kind>,
    options: Resource<M>,
    list_id: &'static str,
    history_id: &'static str,
    writer: Arc<Writer>,
}

/// The standard operations of `M`.
///
/// # Panics
/// When the store was opened without the kind, which shows when the server starts.
pub fn resource<M: Model>(store: &Store, options: Resource<M>) -> Vec<Operation> {
    let kind = store.kinds().get(M::KIND).unwrap_or_else(|| panic!("the store has no kind {}", M::KIND)).clone();
    let (plural, noun) = (options.plural, options.noun.clone());
    let shared = Arc::clone(&kind);
    let schemas = schemas::Schemas::of(store.kinds(), &shared);
    let (path, one) = (format!("/api/v1/{plural}"), format!("/api/v1/{plural}/{{id}}"));
    let (create, update, delete, example) = (options.create, options.update, options.delete, options.example.clone());
    let restore = options.delete && options.restore;
    // A hook may refuse or complete a change: what it would say is not known beforehand.
    let (plain_update, plain_delete) = (options.on_update.is_none(), options.on_delete.is_none());
    let (tag, permission) = (options.tag, options.permission);
    let (list_id, history_id) = (id(plural, "list"), id(plural, "history"));
    let writer = Arc::new(options.writer(store, &kind));
    let state = Arc::new(State { store: store.clone(), kind, options, list_id, history_id, writer: writer.clone() });
    let start = |verb: &'static str, method: Method, path: &str, right: &str, summary: String| -> Draft {
        let draft = operation(id(plural, verb), method, path).summary(summary).tag(tag).needs(&format!("{permission}:{right}")).scoped();
        // Words such as `batch` stand where ids do and take other methods.
        if path.ends_with("/{id}") { draft.error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed") } else { draft }
    };
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };

    let mut out = vec![
        start("list", Method::GET, &path, "read", format!("List {}", plural.replace('-', " ")))
            .documented_query(schemas.list_query())
            .output_schema(schemas.page())
            .error(StatusCode::BAD_REQUEST, "invalid_cursor")
            .handle(state.clone(), list::list),
        start("get", Method::GET, &one, "read", format!("Read {article} {noun}"))
            .reads(HeaderInput::IfNoneMatch)
            .etag()
            .reads_kind(M::KIND)
            .output_schema(schemas.output.clone())
            .handle(state.clone(), one::get),
        start("history", Method::GET, &format!("{one}/history"), "read", format!("What happened to {article} {noun}"))
            .description("Its events, newest first, also when it is deleted. Only auditors learn from where something was done.")
            .error(StatusCode::BAD_REQUEST, "invalid_cursor")
            .handle(state.clone(), history::history),
    ];
    if reveal::has_some(&shared) {
        let one = format!("{one}/secrets/{{field}}");
        let draft = start("reveal", Method::GET, &one, "read", format!("Read a secret of {article} {noun}"));
        let draft = draft.needs(&format!("{permission}-secrets:execute")).description(reveal::DESCRIPTION);
        out.push(draft.handle(state.clone(), reveal::reveal));
    }
    out.push(
        start("export", Method::GET, &format!("{path}/export"), "read", format!("Export {}", plural.replace('-', " ")))
            .description(export::DESCRIPTION)
            .handle(state.clone(), export::export),
    );
    if create {
        let draft = start("create", Method::POST, &path, "write", format!("Create {article} {noun}"))
            .status(StatusCode::CREATED)
            .etag()
            .body_schema(schemas.create())
            .output_schema(schemas.output.clone());
        let draft = match example {
            Some(example) => draft.body_example("typical", example),
            None => draft,
        };
        out.push(draft.handle(state.clone(), one::create));
    }
    if update {
        let draft = start("update", Method::PATCH, &one, "write", format!("Change {article} {noun}"));
        let draft = draft.description("An RFC 7396 merge patch: members replace, null removes, what is not named stays.");
        let draft = draft.reads(HeaderInput::IfMatch).etag().body_schema(schemas.patch()).output_schema(schemas.output.clone());
        let draft = if plain_update { draft.changes_kind(M::KIND, Act::Update) } else { draft };
        out.push(draft.handle(state.clone(), one::update));
    }
    if delete {
        let draft = start("delete", Method::DELETE, &one, "delete", format!("Delete {article} {noun}"));
        let kept = if restore { ", where it can be restored from for 30 days" } else { "" };
        let draft = draft.description(format!("It goes to the recycle bin{kept}.")).reads(HeaderInput::IfMatch);
        let draft = if plain_delete { draft.changes_kind(M::KIND, Act::Delete) } else { draft };
        out.push(draft.handle(state.clone(), one::delete));
    }
    if create || update {
        let draft = start("import", Method::POST, &format!("{path}/import"), "write", format!("Import {}", plural.replace('-', " ")));
        let draft = draft.description(import::DESCRIPTION).media_types(&import::MEDIA_TYPES);
        let draft = draft.error(StatusCode::PAYLOAD_TOO_LARGE, "import_too_large").error(StatusCode::TOO_MANY_REQUESTS, "imports_full");
        let draft = draft.also(StatusCode::ACCEPTED, "A job works through the file; Location names it.");
        out.push(draft.handle(state.clone(), import::import).importing(plural, writer.clone()));
        let refused = format!("{path}/imports/{{id}}/failures");
        let draft =
            start("import_failures", Method::GET, &refused, "write", format!("What an import of {} refused", plural.replace('-', " ")));
        out.push(draft.description(import::FAILURES_DESCRIPTION).handle(state.clone(), import::refused));
    }
    if create || update || delete {
        let right = if create || update { "write" } else { "delete" };
        let draft = start("batch", Method::POST, &format!("{path}/batch"), right, format!("Change many {}", plural.replace('-', " ")));
        let draft = draft.description(batch::DESCRIPTION).documented_body(batch::body_schema(&writer, &schemas));
        let draft = draft.error(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large").error(StatusCode::NOT_FOUND, "not_found");
        out.push(draft.handle(state.clone(), batch::batch));
    }
    if restore {
        let draft = start("restore", Method::POST, &format!("{one}/restore"), "write", format!("Restore {article} {noun}"));
        let draft = draft.description(
            "Brings it back from the recycle bin as it was, if its unique values are free and what it refers to is there. What was deleted with it \
             is restored by itself.",
        );
        let draft = draft.reads(HeaderInput::IfMatch).etag().output_schema(schemas.output.clone()).changes_kind(M::KIND, Act::Restore);
        let draft = draft.error(StatusCode::CONFLICT, "already_exists").error(StatusCode::CONFLICT, "unique_taken");
        out.push(draft.handle(state, history::restore));
    }
    out
}

/// Ids of operations live as long as the process: the table is made once.
fn id(plural: &str, verb: &str) -> &'static str {
    format!("{plural}.{verb}").leak()
}
