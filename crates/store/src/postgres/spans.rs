//! Which events requests left.

use deadpool_postgres::Client;
use steward_base::Timestamp;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::failure::Failure;
use super::namespace::Namespace;
use super::read::query;
use crate::span::{self, DAY, Span};

/// The statements of one schema.
pub(super) struct SpanStatements {
    pub(super) put: String,
    pub(super) some: String,
    pub(super) sweep: String,
}

impl SpanStatements {
    pub(super) fn of(schema: &str) -> Self {
        let at = |text: &str| text.replace("{s}", &format!("\"{schema}\""));
        Self {
            put: at("INSERT INTO {s}.request_span SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])"),
            some: at("SELECT first, last FROM {s}.request_span WHERE tenant = $1 AND hour = ANY ($2) AND request = $3"),
            sweep: at("DELETE FROM {s}.request_span WHERE tenant = $1 AND (hour, request, first) IN
                (SELECT hour, request, first FROM {s}.request_span WHERE tenant = $1 AND hour < $2 LIMIT $3)"),
        }
    }
}

/// Spans by column, and until when old ones are swept.
pub(super) struct Spanning {
    hours: Vec<i64>,
    requests: Vec<i64>,
    first: Vec<i64>,
    last: Vec<i64>,
    oldest: i64,
}

impl Spanning {
    pub(super) fn of(spans: &[Span], sweep: Option<Timestamp>) -> Self {
        let column = |value: fn(&Span) -> i64| spans.iter().map(value).collect();
        Self {
            hours: column(|span| span.hour),
            requests: column(|span| span.request),
            first: column(|span| span.first),
            last: column(|span| span.last),
            oldest: sweep.map_or(0, |now| span::hour(now.minus(DAY))),
        }
    }

    pub(super) fn bound<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![tenant, &self.hours, &self.requests, &self.first, &self.last]
    }

    pub(super) fn sweeping<'b>(&'b self, tenant: &'b Uuid) -> Vec<&'b (dyn ToSql + Sync)> {
        vec![tenant, &self.oldest, &span::SWEPT]
    }
}

/// First and last event of each unit of a request in these hours.
pub(super) async fn spans(client: &Client, namespace: &Namespace, request: i64, hours: &[i64]) -> Result<Vec<(i64, i64)>, Failure> {
    let tenant = namespace.tenant.record().uuid();
    let rows = query(client, namespace, &namespace.statements.spans.some, &[&tenant, &hours, &request]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
