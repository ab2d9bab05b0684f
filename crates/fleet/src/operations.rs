//! What can be done over HTTP: the standard operations of each kind, enrolment, tokens, heartbeats and presence.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use steward_base::{Error, Result};
use steward_store::Model as _;
use steward_web::{ById, Call, Json, Operation, RateClass, Reply, Resource, operation, resource};

use crate::enrollment::{Enrolled, Enrolment};
use crate::models::{Device, EnrollmentToken, Organization, Project, Service};
use crate::{Fleet, NewEnrollmentToken, Presence, agents};

impl Fleet {
    /// Every operation of this crate.
    pub fn operations(&self) -> Vec<Operation> {
        let store = &self.0.store;
        let mut all =
            resource::<Organization>(store, Resource::new("organizations").example(json!({ "name": "Globex", "slug": "globex" })));
        all.extend(resource::<Project>(store, Resource::new("projects").example(json!({ "name": "Shop", "path": "/srv/shop" }))));
        all.extend(resource::<Service>(store, Resource::new("services")));
        all.extend(resource::<Device>(store, Resource::new("devices").without_create()));
        all.push(self.presence_operation());
        all.extend(resource::<EnrollmentToken>(store, Resource::new("enrollment-tokens").without_create().without_update()));
        all.push(self.new_token_operation());
        all.extend(self.agent_operations());
        all
    }

    fn presence_operation(&self) -> Operation {
        operation("devices.presence", Method::GET, "/api/v1/devices/{id}/presence")
            .needs("devices:read")
            .summary("Whether a device is heard of now, and how its agent fares")
            .tag("devices")
            .handle(self.clone(), presence)
    }

    fn new_token_operation(&self) -> Operation {
        let mut schema = self.kind(EnrollmentToken::KIND).output_schema().clone();
        schema["properties"]["secret"] = json!({ "type": "string", "description": "The token itself; it is not shown again." });
        if let Some(required) = schema["required"].as_array_mut() {
            required.push("secret".into());
        }
        operation("enrollment-tokens.create", Method::POST, "/api/v1/enrollment-tokens")
            .needs("enrollment-tokens:write")
            .summary("Make an enrolment token; its secret is in this answer and nowhere else")
            .tag("enrollment-tokens")
            .status(StatusCode::CREATED)
            .etag()
            .output_schema(schema)
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
                .error(StatusCode::FORBIDDEN, "enrollment_token_used_up")
                .error(StatusCode::SERVICE_UNAVAILABLE, "enrollment_busy")
                .handle(self.clone(), enroll),
            operation("agent.token", Method::POST, "/t/{slug}/oauth/token")
                .public()
                .summary("Turn a device's signed assertion into an access token")
                .tag("agent")
                .rate(RateClass::Credential)
                .error(StatusCode::BAD_REQUEST, "invalid_grant")
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
    let record = fleet.0.store.get(&call.ctx, Device::KIND, id).await?.ok_or_else(|| Error::not_found("device"))?;
    Ok(Reply::json(fleet.0.presence.of(call.ctx.tenant(), id, &record.decode()?)))
}

async fn new_token(fleet: Fleet, call: Call<(), (), Json<NewEnrollmentToken>>) -> Result<Reply<Json<Value>>> {
    let Json(new) = call.body;
    let (record, secret) = fleet.new_enrollment_token(&call.ctx, new).await?;
    let mut shown = record.to_json(fleet.kind(EnrollmentToken::KIND));
    shown["secret"] = secret.expose().clone().into();
    let location = format!("/api/v1/enrollment-tokens/{}", record.id.wire(EnrollmentToken::PREFIX));
    Ok(Reply::json(shown).etag(record.version).location(&location))
}

async fn enroll(fleet: Fleet, call: Call<(), (), Json<Enrolment>>) -> Result<Reply<Json<Enrolled>>> {
    let Json(asked) = call.body;
    Ok(Reply::json(fleet.enroll(&call.ctx, asked).await?))
}
