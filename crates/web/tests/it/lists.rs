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
