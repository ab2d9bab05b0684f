//! The pages that a problem's `type` points to: what each stable code means and what to do next. No script, no request but for the style sheet.

mod codes;

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use http::{HeaderValue, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use steward_base::{Error, Result};
use steward_web::{Binary, Call, Operation, RateClass, Reply, operation};

use codes::{COMMANDS, Code, FIELDS, PROBLEMS};

const LIST: &str = "/docs/problems";
const SHEET: &str = "/docs/problems.css";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const POLICY: &str = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// Follows the reader's theme; the colours keep a contrast of 7 to 1 in both.
const STYLE: &str = ":root{color-scheme:light dark;--back:#fff;--text:#1a1a1a;--quiet:#4a4a4a;--line:#d0d0d0;--link:#0b4f9e}\
@media(prefers-color-scheme:dark){:root{--back:#15171a;--text:#f0f0f0;--quiet:#bdbdbd;--line:#3a3d42;--link:#9ccbff}}\
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:70rem;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}\
a{color:var(--link)}a:focus-visible{outline:.2rem solid var(--link);outline-offset:.1rem}\
code{font:.95em ui-monospace,monospace;overflow-wrap:anywhere}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}\
th,td{padding:.4rem .75rem .4rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}th[scope=row]{font-weight:400}\
tr:target{outline:.2rem solid var(--link)}dt{color:var(--quiet)}dd{margin:0 0 .75rem}";

/// One code.
#[derive(Debug, Deserialize, JsonSchema)]
struct ByCode {
    /// As the problem has it.
    #[schemars(length(min = 1, max = 80))]
    code: String,
}

/// The pages: they are the same for everybody.
pub(crate) fn operations() -> Vec<Operation> {
    let page = |id, path: &'static str| {
        operation(id, Method::GET, path)
            .summary("What a code means")
            .tag("meta")
            .rate(RateClass::Exempt)
            .undocumented("a page for people")
            .public()
    };
    vec![
        page("problems.list", LIST).handle((), async |(), _: Call| Ok(answer(HTML, list()))),
        page("problems.style", SHEET).handle((), async |(), _: Call| Ok(answer(CSS, STYLE.to_owned()))),
        page("problems.get", "/docs/problems/{code}").handle((), one),
    ]
}

async fn one((): (), call: Call<ByCode>) -> Result<Reply<Binary>> {
    let all = [PROBLEMS, FIELDS, COMMANDS].into_iter().flatten();
    let found = all.into_iter().find(|code| code.name == call.path.code).ok_or_else(|| Error::not_found("page"))?;
    Ok(answer(HTML, single(found)))
}

fn answer(media_type: &'static str, text: String) -> Reply<Binary> {
    Reply::new(Binary { media_type: HeaderValue::from_static(media_type), bytes: Bytes::from(text) })
        .header(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))
        .header(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"))
}

// Nothing from a request enters a page, and the texts of the table have no markup in them: a test says so.

fn page(title: &str, heading: &str, main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} – Steward</title><link rel=\"stylesheet\" href=\"{SHEET}\"></head><body><main><h1>{heading}</h1>{main}</main></body></html>"
    )
}

fn single(code: &Code) -> String {
    let mut main = String::from("<dl>");
    let mut row = |name: &str, text: &str| main.push_str(&format!("<dt>{name}</dt><dd>{text}</dd>"));
    if !code.statuses.is_empty() {
        row("Status", &statuses(code));
    }
    row("What happened", code.means);
    row("What to do", code.next);
    main.push_str("</dl>");
    let _ = write!(main, "<p><a href=\"{LIST}#{}\">All codes</a></p>", code.name);
    page(code.name, &format!("<code>{}</code>", code.name), &main)
}

fn list() -> String {
    let mut main = String::from(
        "<p>Every refusal has a <code>code</code>. Codes are stable: programs may rely on them, and on nothing in a refusal's sentences.</p>",
    );
    table(&mut main, "Of a request", "The <code>code</code> of a problem.", PROBLEMS);
    table(
        &mut main,
        "Of a field",
        "The <code>code</code> of an entry under <code>errors</code>; those of requests occur here as well.",
        FIELDS,
    );
    table(&mut main, "On the command line", "What <code>steward</code> says when a command or a start fails.", COMMANDS);
    page("Error codes", "Error codes", &main)
}

fn table(main: &mut String, title: &str, what: &str, codes: &[Code]) {
    let with_status = codes.iter().any(|code| !code.statuses.is_empty());
    let status = if with_status { "<th scope=\"col\">Status</th>" } else { "" };
    let _ = write!(
        main,
        "<h2>{title}</h2><p>{what}</p><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table><thead><tr>\
         <th scope=\"col\">Code</th>{status}<th scope=\"col\">What happened</th><th scope=\"col\">What to do</th></tr></thead><tbody>"
    );
    for code in codes {
        let status = if with_status { format!("<td>{}</td>", statuses(code)) } else { String::new() };
        let Code { name, means, next, .. } = code;
        let _ = write!(
            main,
            "<tr id=\"{name}\"><th scope=\"row\"><a href=\"{LIST}/{name}\"><code>{name}</code></a></th>{status}<td>{means}</td><td>{next}</td></tr>"
        );
    }
    main.push_str("</tbody></table></div>");
}

fn statuses(code: &Code) -> String {
    code.statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
