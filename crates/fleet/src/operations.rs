//! What can be done over HTTP: the standard operations of each kind, enrolment, tokens, heartbeats and presence.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use steward_base::{Error, Result};
use steward_store::Model as _;
use steward_web::{ById, Call, Json, Operation, RateClass, Reply, Resource, operation, resource, scope, shown_once};

use crate::enrollment::{Enrolled, Enrolment};
use crate::models::{Device, EnrollmentToken, Organization, Project, Service};
use crate::{Fleet, NewEnrollmentToken, Presence, agents};

impl Fleet {
    /// Every operation of this crate.
    pub fn operations(&self) -> Vec<Operation> {
        let store = &self.0.store;
        let mut all =
            resource::<Organization>(store, Resource::new("organizations").example(json!({ "name": "Globex", "slug": "globex" })));
        let projects = Resource::<Project>::new("projects");
        all.extend(resource(store, projects.example(json!({ "name": "Shop", "path": "/srv/shop" }))));
        all.extend(resource(store, Resource::<Service>::new("services")));
        all.extend(resource(store, Resource::<Device>::new("devices").without_create()));
        all.push(self.presence_operation());
        all.extend(resource::<EnrollmentToken>(
            store,
            Resource::new("enrollment-tokens").without_create().without_update().without_restore(),
        ));
        all.push(self.new_token_operation());
        all.extend(self.sample_operations());
        all.extend(self.agent_operations());
        all
    }

    fn sample_operations(&self) -> [Operation; 2] {
        [
            operation("sample.create", Method::POST, "/api/v1/sample")
                .needs("sample:write")
                .summary("Load a sample company to look around in")
                .tag("sample")
                .error(StatusCode::CONFLICT, "sample_exists")
                .handle(self.clone(), async |fleet: Fleet, call: Call| fleet.load_sample(&call.ctx).await.map(|_| Reply::empty())),
            operation("sample.delete", Method::DELETE, "/api/v1/sample")
                .needs("sample:delete")
                .summary("Take the sample company away, all of it and nothing else")
                .tag("sample")
                .error(StatusCode::NOT_FOUND, "not_found")
                .handle(self.clone(), async |fleet: Fleet, call: Call| fleet.remove_sample(&call.ctx).await.map(|()| Reply::empty())),
        ]
    }

    fn presence_operation(&self) -> Operation {
        operation("devices.presence", Method::GET, "/api/v1/devices/{id}/presence")
            .needs("devices:read")
            .scoped()
            .summary("Whether a device is heard of now, and how its agent fares")
            .tag("devices")
            .handle(self.clone(), presence)
    }

    fn new_token_operation(&self) -> Operation {
        operation("enrollment-tokens.create", Method::POST, "/api/v1/enrollment-tokens")
            .needs("enrollment-tokens:write")
            .scoped()
            .summary("Make an enrolment token; its secret is in this answer and nowhere else")
            .tag("enrollment-tokens")
            .status(StatusCode::CREATED)
            .etag()
            .output_schema(shown_once::schema(self.kind(EnrollmentToken::KIND)))
            .error(StatusCode::FORBIDDEN, "outside_scope")
            .handle(self.clone(), new_token)
    }

    fn agent_operations(&self) -> [Operation; 3] {
        [
            operation("agent.enroll", Method::POST, "/agent/v1/enroll")
                .public()
                .summary("Turn this machine and its key into a device")
                .tag("agent")
                .rate(RateClass::Credential)
                .status(StatusCode::CREATED)
                .error(StatusCode::FORBIDDEN, "invalid_enrollment_token")
                .body_limit(16 << 10)
                .error(StatusCode::FORBIDDEN, "enrollment_token_used_up")
                .error(StatusCode::FORBIDDEN, "device_elsewhere")
                .error(StatusCode::SERVICE_UNAVAILABLE, "enrollment_busy")
                .handle(self.clone(), enroll),
            operation("agent.token", Method::POST, "/t/{slug}/oauth/token")
                .public()
                .body_limit(16 << 10)
                .summary("Turn a device's signed assertion into an access token")
                .tag("agent")
                .rate(RateClass::Credential)
                .error(StatusCode::BAD_REQUEST, "invalid_grant")
                .error(StatusCode::TOO_MANY_REQUESTS, "too_many_assertions")
                .error(StatusCode::SERVICE_UNAVAILABLE, "just_started")
                .error_form(agents::oauth_errors())
                .handle(self.clone(), agents::token),
            operation("agent.heartbeat", Method::POST, "/agent/v1/heartbeat")
                .needs("devices:execute")
                .summary("Say that the device is alive")
                .tag("agent")
                .rate(RateClass::Ingest)
                .error(StatusCode::FORBIDDEN, "devices_only")
                .error(StatusCode::NOT_FOUND, "not_found")
                .handle(self.clone(), agents::heartbeat),
        ]
    }
}

async fn presence(fleet: Fleet, call: Call<ById<Device>>) -> Result<Reply<Json<Presence>>> {
    let id = call.path.id.record();
    let absent = || Error::not_found("device");
    let record = fleet.0.store.get(&call.ctx, Device::KIND, id).await?.ok_or_else(absent)?;
    let kind = fleet.kind(Device::KIND);
    if !scope::covers(kind, call.scope.as_ref(), &record.to_json(kind)?, call.site.clock().now()) {
        return Err(absent());
    }
    Ok(Reply::json(fleet.0.presence.of(call.ctx.tenant(), id, &record.decode()?)))
}

async fn new_token(fleet: Fleet, call: Call<(), (), Json<NewEnrollmentToken>>) -> Result<Reply<Json<Value>>> {
    let Json(new) = call.body;
    let (kind, row) = (fleet.kind(EnrollmentToken::KIND), serde_json::to_value(&new).map_err(Error::internal)?);
    if !scope::covers(kind, call.scope.as_ref(), &row, call.site.clock().now()) {
        return Err(scope::outside("token"));
    }
    let (record, secret) = fleet.new_enrollment_token(&call.ctx, new).await?;
    shown_once::reply(kind, "/api/v1/enrollment-tokens", &record, &secret)
}

async fn enroll(fleet: Fleet, call: Call<(), (), Json<Enrolment>>) -> Result<Reply<Json<Enrolled>>> {
    let Json(asked) = call.body;
    Ok(Reply::json(fleet.enroll(&call.ctx, asked).await?))
}
