//! Signed assertions become access tokens, each once.

use serde_json::{Value, json};
use steward_auth::SigningKey;
use steward_store::{Expect, ListQuery, Model as _, UnitOfWork};

use crate::world::{Device, Machine, World};

#[tokio::test]
async fn an_assertion_is_good_once_and_its_token_speaks_for_the_device_alone() {
    let world = World::new().await;
    let device = world.enrolled("m-1").await;
    let assertion = device.assertion(&device.claims(&world.clock));
    let (status, answer) = world.grant("acme", &assertion).await;
    assert_eq!((status, &answer["token_type"], &answer["expires_in"]), (200, &json!("Bearer"), &json!(600)));
    let (status, refused) = world.grant("acme", &assertion).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")), "a replay");

    let access = answer["access_token"].as_str().expect("a token");
    let beat = world.beat(access).await.expect(200).json();
    assert_eq!(beat["next_seconds"], 30);
    let _ = world.app.get("/api/v1/devices").key(access).send().await.expect(403);
    let refused = world.beat(&world.tenant.key).await.expect(403);
    assert_eq!(refused.code(), "devices_only", "a key is no device");
}

#[tokio::test]
async fn assertions_that_prove_nothing_are_refused() {
    let world = World::new().await;
    world.app.tenant("umbrella").await;
    let device = world.enrolled("m-1").await;
    let now = world.clock.now().micros() / 1_000_000;
    let with = |name: &str, value: Value| {
        let mut claims = device.claims(&world.clock);
        claims[name] = value;
        device.assertion(&claims)
    };
    let stranger = Device { id: device.id.clone(), token_url: device.token_url.clone(), machine: Machine::new("m-1") };
    let unsigned = {
        let good = device.assertion(&device.claims(&world.clock));
        let body = good.split('.').nth(1).expect("a body");
        format!("eyJhbGciOiJub25lIn0.{body}.")
    };
    let cases = [
        ("another key", stranger.assertion(&stranger.claims(&world.clock))),
        ("no signature", unsigned),
        ("another audience", with("aud", json!("http://elsewhere/t/acme/oauth/token"))),
        ("another issuer", with("iss", json!("dev_00000000000000000000000000"))),
        ("an unknown device", with("sub", json!("dev_00000000000000000000000000"))),
        ("expired", with("exp", json!(now - 61))),
        ("dated ahead", with("iat", json!(now + 60))),
        ("no date", with("iat", Value::Null)),
        ("too long a life", with("exp", json!(now + 3600))),
        ("an absurd end", with("exp", json!(i64::MAX))),
        ("no jti", with("jti", json!(""))),
        ("a long jti", with("jti", json!("x".repeat(65)))),
        ("no token at all", "x".to_owned()),
        ("empty", String::new()),
    ];
    for (what, assertion) in cases {
        let (status, answer) = world.grant("acme", &assertion).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{what}: {answer}");
        assert!(answer["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{what}");
    }
    for slug in ["umbrella", "nobody"] {
        let (status, answer) = world.grant(slug, &device.assertion(&device.claims(&world.clock))).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")), "{slug}");
    }
}

#[tokio::test]
async fn a_key_that_lost_its_device_and_a_removed_device_get_no_token() {
    let world = World::new().await;
    let old = world.enrolled("m-1").await;
    let new = world.enrolled("m-1").await;
    assert_eq!(old.id, new.id);
    let (status, _) = world.grant("acme", &old.assertion(&old.claims(&world.clock))).await;
    assert_eq!(status, 400, "the machine was set up anew");
    let access = world.access(&new).await;
    let _ = world.app.delete(&new.path()).key(&world.tenant.key).header("if-match", "*").send().await.expect(204);
    let (status, _) = world.grant("acme", &new.assertion(&new.claims(&world.clock))).await;
    assert_eq!(status, 400, "the device was removed");
    let refused = world.beat(&access).await;
    assert!([401, 404].contains(&refused.status), "{}", refused.text);
}

#[tokio::test]
async fn what_an_ended_signing_key_signed_is_refused_at_once_and_devices_get_tokens_of_a_new_one() {
    let world = World::new().await;
    let device = world.enrolled("m-1").await;
    let old = world.access(&device).await;
    let _ = world.beat(&old).await.expect(200);
    let (store, ctx) = (&world.app.parts.store, &world.tenant.ctx);
    let keys = store.list(ctx, ListQuery { kind: SigningKey::KIND.to_owned(), limit: 10, ..ListQuery::default() }).await.expect("lists");
    let [key] = &keys.records[..] else { panic!("one key signed: {}", keys.records.len()) };
    store.commit(ctx, UnitOfWork::new().delete(SigningKey::KIND, key.id, Expect::Any)).await.expect("is deleted");
    assert_eq!(world.beat(&old).await.expect(401).code(), "invalid_credential");
    let new = world.access(&device).await;
    let _ = world.beat(&new).await.expect(200);
}

#[tokio::test]
async fn an_assertion_that_was_used_before_a_restart_is_not_good_again_after_it() {
    let world = World::new().await;
    let device = world.enrolled("m-1").await;
    let captured = device.assertion(&device.claims(&world.clock));
    let (status, _) = world.grant("acme", &captured).await;
    assert_eq!(status, 200);
    let ahead = {
        let mut claims = device.claims(&world.clock);
        claims["iat"] = json!(claims["iat"].as_i64().expect("a number") + 4);
        device.assertion(&claims)
    };
    let (status, _) = world.grant("acme", &ahead).await;
    assert_eq!(status, 200, "a device's clock may be a little ahead");

    let world = world.restart().await;
    for seconds in [0, 3, 5, 30] {
        world.clock.advance(std::time::Duration::from_secs(seconds));
        for used in [&captured, &ahead] {
            let (status, answer) = world.grant("acme", used).await;
            assert_eq!((status, &answer["error"]), (503, &json!("temporarily_unavailable")), "{answer}");
        }
    }
    let (status, answer) = world.grant("acme", &device.assertion(&device.claims(&world.clock))).await;
    assert_eq!(status, 200, "a new one is: {answer}");
}
