//! Lists: pages, orders, filters, counts, fields, and cursors that nobody can bend.

use serde_json::{Value, json};
use steward_testkit::{TestApp, TestTenant};

use crate::sample;

async fn filled(app: &TestApp, slug: &str, many: usize) -> TestTenant {
    let tenant = app.tenant(slug).await;
    for number in 0..many {
        let tag = if number % 2 == 0 { "even" } else { "odd" };
        let body = json!({ "name": format!("Gadget {number:02}"), "size": 100 - number, "tags": [tag] });
        app.post("/api/v1/gadgets").key(&tenant.key).json(&body).send().await.expect(201);
    }
    tenant
}

async fn page(app: &TestApp, tenant: &TestTenant, query: &str) -> Value {
    app.get(&format!("/api/v1/gadgets?{query}")).key(&tenant.key).send().await.expect(200).json()
}

fn names(page: &Value) -> Vec<String> {
    page["data"].as_array().expect("rows").iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn pages_join_without_gap_or_repeat() {
    let app = sample::app().await;
    let tenant = filled(&app, "acme", 11).await;
    for order in ["", "&order_by=name%20desc", "&order_by=size", "&order_by=created_at%20desc"] {
        let whole = names(&page(&app, &tenant, &format!("limit=500{order}")).await);
        assert_eq!(whole.len(), 11);
        let (mut joined, mut cursor) = (Vec::new(), String::new());
        loop {
            let part = page(&app, &tenant, &format!("limit=4{order}{cursor}")).await;
            joined.extend(names(&part));
            assert_eq!(part["has_more"], part["next_cursor"].is_string());
            let Some(next) = part["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(joined, whole, "{order}");
    }
}

#[tokio::test]
async fn filters_counts_and_fields() {
    let app = sample::app().await;
    let tenant = filled(&app, "acme", 9).await;
    let even = page(&app, &tenant, "filter=tags%3Aeven%20size%20%3E%2095&count=exact&order_by=name&fields=name,size&limit=2").await;
    assert_eq!(names(&even), ["Gadget 00", "Gadget 02"]);
    assert_eq!(even["count"], 3);
    let row = even["data"][0].as_object().expect("a row");
    assert_eq!(row.keys().collect::<Vec<_>>(), ["id", "name", "size"]);
    assert_eq!(page(&app, &tenant, "").await.get("count"), None);
}

#[tokio::test]
async fn cursors_belong_to_one_list_of_one_tenant() {
    let app = sample::app().await;
    let tenant = filled(&app, "acme", 5).await;
    let other = filled(&app, "other", 5).await;
    let query = "limit=2&filter=tags%3Aeven";
    let cursor = page(&app, &tenant, query).await["next_cursor"].as_str().expect("has more").to_owned();
    page(&app, &tenant, &format!("{query}&cursor={cursor}")).await;
    let mut forged = cursor.clone().into_bytes();
    forged[3] = if forged[3] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).expect("is text");
    for (who, query) in [
        (&other, format!("{query}&cursor={cursor}")),
        (&tenant, format!("limit=2&filter=tags%3Aodd&cursor={cursor}")),
        (&tenant, format!("{query}&order_by=name&cursor={cursor}")),
        (&tenant, format!("{query}&cursor={forged}")),
        (&tenant, format!("{query}&cursor=x")),
        (&tenant, format!("{query}&cursor=")),
    ] {
        let refused = app.get(&format!("/api/v1/gadgets?{query}")).key(&who.key).send().await.expect(400);
        assert_eq!(refused.code(), "invalid_cursor", "{query}");
    }
}

#[tokio::test]
async fn tenants_see_their_own() {
    let app = sample::app().await;
    let tenant = filled(&app, "acme", 3).await;
    let other = app.tenant("other").await;
    assert_eq!(names(&page(&app, &tenant, "").await).len(), 3);
    assert!(names(&page(&app, &other, "").await).is_empty());
}

/// How often lists were answered without reading, and how often they were read to be kept.
fn kept(app: &TestApp) -> (u64, u64) {
    let counters = app.site.settings().cache.counters();
    let lists = counters.iter().find(|counters| counters.class.name() == "lists").expect("lists are a class");
    (lists.hits, lists.loads)
}

#[tokio::test]
async fn a_page_is_kept_until_a_record_of_its_kind_changes() {
    let app = sample::app().await;
    let tenant = filled(&app, "acme", 3).await;
    let query = "limit=2&count=exact&facets=tags&filter=size%20%3E%200";
    let first = page(&app, &tenant, query).await;
    assert_eq!(page(&app, &tenant, query).await, first);
    assert_eq!(kept(&app), (1, 1));

    let id = first["data"][0]["id"].as_str().expect("an id").to_owned();
    let one = format!("/api/v1/gadgets/{id}");
    let mut last = first;
    for change in 0..5 {
        let ask = match change {
            0 => app.post("/api/v1/gadgets").json(&json!({ "name": "Fourth", "size": 7, "tags": ["odd"] })),
            1 => app.patch(&one).json(&json!({ "name": "Other" })),
            2 => app.delete(&one),
            3 => app.post(&format!("{one}/restore")),
            _ => app.post("/api/v1/gadgets/batch").json(&json!({ "items": [{ "op": "create", "body": { "name": "Fifth", "size": 9 } }] })),
        };
        let done = ask.key(&tenant.key).header("if-match", "*").send().await;
        assert!((200..300).contains(&done.status), "{change}: {}", done.text);
        let now = page(&app, &tenant, query).await;
        assert_ne!(now, last, "after change {change}");
        assert_eq!(page(&app, &tenant, query).await, now);
        last = now;
    }
    assert_eq!(kept(&app), (6, 6));
    // What happens to another tenant, or to another kind, changes nothing here.
    filled(&app, "other", 1).await;
    app.tenant("third").await;
    assert_eq!(page(&app, &tenant, query).await, last);
    assert_eq!(kept(&app), (7, 6));
}

#[tokio::test]
async fn a_page_that_others_may_not_see_or_that_time_changes_is_read_anew() {
    let app = sample::app().await;
    let tenant = filled(&app, "acme", 3).await;
    for query in ["filter=created_at%20%3E%20now-1h", "filter=created_at%20%3E%201h", "deleted=true"] {
        page(&app, &tenant, query).await;
        page(&app, &tenant, query).await;
    }
    let cursor = page(&app, &tenant, "limit=2").await["next_cursor"].as_str().expect("has more").to_owned();
    let next = format!("limit=2&cursor={cursor}");
    assert_eq!(page(&app, &tenant, &next).await, page(&app, &tenant, &next).await);
    assert_eq!(kept(&app), (0, 1), "only the first page of the last one was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_its_answer_finds_it_in_the_next_list() {
    let app = sample::app().await;
    let tenant = app.tenant("acme").await;
    let writers = (0..8).map(async |writer| {
        for number in 0..25 {
            let name = format!("Gadget {writer} {number}");
            app.post("/api/v1/gadgets").key(&tenant.key).json(&json!({ "name": name })).send().await.expect(201);
            let listed = names(&page(&app, &tenant, "limit=500&order_by=name").await);
            assert!(listed.contains(&name), "{name} is missing in {} rows", listed.len());
        }
    });
    futures_util::future::join_all(writers).await;
}
