//! The stream `access` of a tenant's logs: who read records with personal data.
//!
//! Entries come from `web` before the answers go out and are written in groups, so that one sync is shared: they are on disk some milliseconds
//! later. A crash in between loses them; what telemetry refuses for longer is lost too, and the server's own log says how many.

use std::collections::BTreeMap;
use std::time::Duration;

use steward_base::{Result, TenantId};
use steward_telemetry::{AttributeValue, LogBatch, LogFields};
use steward_web::AccessEntry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Observe;

/// The stream that nobody else writes to.
pub(crate) const STREAM: &str = "access";
/// Most entries of one write.
const TOGETHER: usize = 1_000;
/// How long telemetry may refuse before entries are given up: after each of these it is asked again.
const PATIENCE: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(3)];

impl Observe {
    /// Keeps entries until `stop`, and then those that are still waiting.
    pub async fn keep_access(self, mut entries: mpsc::Receiver<AccessEntry>, stop: CancellationToken) {
        let mut group = Vec::new();
        loop {
            tokio::select! {
                biased;
                taken = entries.recv_many(&mut group, TOGETHER) => {
                    if taken == 0 {
                        return;
                    }
                    self.keep(std::mem::take(&mut group)).await;
                }
                () = stop.cancelled(), if !entries.is_closed() => entries.close(),
            }
        }
    }

    async fn keep(&self, group: Vec<AccessEntry>) {
        let mut by_tenant: BTreeMap<TenantId, Vec<AccessEntry>> = BTreeMap::new();
        for entry in group {
            by_tenant.entry(entry.ctx.tenant()).or_default().push(entry);
        }
        for (tenant, entries) in by_tenant {
            let mut kept = self.append(tenant, &entries).await;
            for wait in PATIENCE {
                if kept.is_ok() {
                    break;
                }
                tokio::time::sleep(wait).await;
                kept = self.append(tenant, &entries).await;
            }
            if let Err(error) = kept {
                let lost = entries.len();
                tracing::error!(tenant.id = %tenant, lost, error.code = error.code(), error.causes = error.causes(), "entries of the access log are lost");
            }
        }
    }

    async fn append(&self, tenant: TenantId, entries: &[AccessEntry]) -> Result<()> {
        let mut batch = LogBatch::new();
        for entry in entries {
            push(&mut batch, entry);
        }
        self.telemetry.append_logs(tenant, None, batch).await.map(drop)
    }
}

fn push(batch: &mut LogBatch, entry: &AccessEntry) {
    let ctx = &entry.ctx;
    let (actor, count, ids) = (ctx.actor(), entry.count, entry.ids.join(" "));
    let noun = entry.kind.replace('_', " ");
    let message = match (entry.count, entry.ids.first()) {
        (1, Some(id)) => format!("{actor} read the {noun} {id}"),
        _ => format!("{actor} read {count} records of kind {noun}"),
    };
    let origin = ctx.origin();
    let texts = [
        ("enduser.id", Some(actor.as_str())),
        ("operation.id", Some(ctx.reason())),
        ("record.kind", Some(entry.kind.as_str())),
        ("record.ids", Some(ids.as_str()).filter(|ids| !ids.is_empty())),
        ("query.filter", entry.filter.as_deref()),
        ("record.secret", entry.secret.as_deref()),
        ("client.address", origin.and_then(|origin| origin.ip.as_deref())),
        ("user_agent.original", origin.and_then(|origin| origin.user_agent.as_deref())),
        ("request.id", ctx.request_id()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            batch.attribute(name, AttributeValue::Text(text));
        }
    }
    batch.attribute("record.count", AttributeValue::Int(i64::try_from(count).unwrap_or(i64::MAX)));
    batch.push(&LogFields {
        time: entry.time,
        observed_time: entry.time,
        severity_text: "info",
        service: "steward",
        message: &message,
        stream: STREAM,
        trace_id: ctx.trace_id().and_then(trace).unwrap_or_default(),
        ..LogFields::default()
    });
}

/// 32 hexadecimal digits as bytes.
fn trace(text: &str) -> Option<[u8; 16]> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)).flatten()
}
