//! What must be true of every operation. Those of OTLP answer in OTLP's own form, which tests of their own look at.

use steward_testkit::conformance;
use steward_web::Spec;

use crate::world::World;

#[tokio::test]
async fn every_operation_keeps_the_rules() {
    let world = World::with(|operation| operation.spec().error_form.is_none()).await;
    let other = world.app.tenant("umbrella").await;
    let existing = |spec: &Spec| spec.path.contains("{stream}").then(|| "/ingest/v1/app".to_owned());
    let mut findings = conformance::no_credential(&world.app).await;
    findings.extend(conformance::missing_permission(&world.app, &world.tenant).await);
    findings.extend(conformance::tenant_mismatch(&world.app, &world.tenant, &other).await);
    findings.extend(conformance::wrong_methods(&world.app).await);
    findings.extend(conformance::unknown_input(&world.app, &world.tenant, &existing).await);
    findings.retain(|finding| ["/logs", "/metrics", "/ingest"].iter().any(|path| finding.contains(path)));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
