//! The sample company comes whole and goes whole.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn the_sample_goes_as_it_came_and_takes_nothing_else() {
    let world = World::new().await;
    let own = world.create("projects", &json!({ "name": "Our own" })).await;
    let _ = world.app.post("/api/v1/sample").key(&world.tenant.key).send().await.expect(204);
    assert_eq!(world.read("/api/v1/devices?count=exact").await["count"], 6);
    assert_eq!(world.read("/api/v1/services?count=exact").await["count"], 9);
    let again = world.app.post("/api/v1/sample").key(&world.tenant.key).send().await.expect(409);
    assert_eq!(again.code(), "sample_exists");

    // Removal skips what is gone already.
    let first = world.read("/api/v1/services?limit=1").await["data"][0]["id"].as_str().expect("an id").to_owned();
    let _ = world.app.delete(&format!("/api/v1/services/{first}")).key(&world.tenant.key).header("if-match", "*").send().await.expect(204);
    let _ = world.app.delete("/api/v1/sample").key(&world.tenant.key).send().await.expect(204);
    for plural in ["organizations", "services", "devices"] {
        assert_eq!(world.read(&format!("/api/v1/{plural}?count=exact")).await["count"], 0, "{plural}");
    }
    let projects = world.read("/api/v1/projects").await;
    assert_eq!(projects["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(projects["data"][0]["id"], own["id"]);
    let _ = world.app.delete("/api/v1/sample").key(&world.tenant.key).send().await.expect(404);
}
