//! The console, embedded: what the build compressed is sent as it is, hashed names are immutable, unknown paths get the application.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, LOCATION, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};
use schemars::JsonSchema;
use serde::Deserialize;
use steward_base::{Error, Result};
use steward_web::{Binary, Call, Operation, RateClass, Reply, operation};

// A checkout whose console is not built yet still compiles; its pages are then 404.
#[derive(RustEmbed)]
#[allow_missing = true]
#[folder = "../../console/dist"]
struct Assets;

/// Folder whose names carry a hash of their content.
const IMMUTABLE: &str = "assets/";
const PAGE: &str = "index.html";
/// Scripts are files of ours alone; styles may be inline, since the component library sets them on elements.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// A path below the console.
#[derive(Debug, Deserialize, JsonSchema)]
struct AssetPath {
    /// A file of the build, or a page of the application's own router.
    path: String,
}

/// The pages: nothing here reads or changes data.
pub(crate) fn operations() -> Vec<Operation> {
    let page = |id, path: &'static str| {
        operation(id, Method::GET, path)
            .summary("A page or file of the console")
            .tag("console")
            .rate(RateClass::Exempt)
            .undocumented("a page for browsers")
    };
    vec![
        page("console.root", "/").public().also(StatusCode::TEMPORARY_REDIRECT, "The console").handle((), to_console),
        page("console.bare", "/console").public().also(StatusCode::TEMPORARY_REDIRECT, "The console").handle((), to_console),
        page("console.home", "/console/")
            .public()
            .handle((), async |(), call: Call| asset(PAGE, &call.headers).unwrap_or_else(|| Err(Error::not_found("page")))),
        page("console.asset", "/console/{*path}").public().handle((), asset_or_page),
    ]
}

async fn to_console((): (), _: Call) -> Result<Reply<()>> {
    Ok(Reply::empty().status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, HeaderValue::from_static("/console/")))
}

async fn asset_or_page((): (), call: Call<AssetPath>) -> Result<Reply<Binary>> {
    let path = call.path.path.as_str();
    // A missing file is missing; any other path belongs to the application's own router.
    let page = if path.starts_with(IMMUTABLE) { None } else { Some(PAGE) };
    let found = asset(path, &call.headers).or_else(|| asset(page?, &call.headers));
    found.unwrap_or_else(|| Err(Error::not_found("page")))
}

fn asset(path: &str, headers: &HeaderMap) -> Option<Result<Reply<Binary>>> {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encodings = [("br", ".br"), ("gzip", ".gz")].into_iter().filter(|(name, _)| accepts(accepted, name));
    let compressed = encodings.into_iter().find_map(|(name, suffix)| Some((Assets::get(&format!("{path}{suffix}"))?, Some(name))));
    let (file, encoding) = match compressed {
        Some(found) => found,
        None => (Assets::get(path)?, None),
    };
    Some(answer(path, file, encoding, headers))
}

fn answer(path: &str, file: EmbeddedFile, encoding: Option<&'static str>, headers: &HeaderMap) -> Result<Reply<Binary>> {
    let etag = etag(&file)?;
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known == etag);
    let bytes = match file.data {
        _ if known => Bytes::new(),
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let media_type = HeaderValue::try_from(mime.as_ref()).map_err(Error::internal)?;
    let cache = if path.starts_with(IMMUTABLE) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let reply = Reply::new(Binary { media_type, bytes })
        .header(CACHE_CONTROL, HeaderValue::from_static(cache))
        .header(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))
        .header(VARY, HeaderValue::from_static("accept-encoding"))
        .header(ETAG, etag);
    let reply = match encoding {
        Some(name) => reply.header(CONTENT_ENCODING, HeaderValue::from_static(name)),
        None => reply,
    };
    Ok(if known { reply.status(StatusCode::NOT_MODIFIED) } else { reply })
}

/// Whether an Accept-Encoding list takes `name`; a quality of zero refuses it.
fn accepts(list: &str, name: &str) -> bool {
    list.split(',').any(|item| {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let refused = parameters.trim().strip_prefix("q=").is_some_and(|quality| quality.trim().parse() == Ok(0.0f32));
        coding.trim().eq_ignore_ascii_case(name) && !refused
    })
}

/// The first half of the content's SHA-256.
fn etag(file: &EmbeddedFile) -> Result<HeaderValue> {
    let mut text = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        write!(text, "{byte:02x}").map_err(Error::internal)?;
    }
    text.push('"');
    HeaderValue::try_from(text).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_taken_as_offered() {
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("br;q=0.5", "br"));
        assert!(!accepts("br;q=0, gzip", "br"));
        assert!(!accepts("", "gzip"));
    }
}
