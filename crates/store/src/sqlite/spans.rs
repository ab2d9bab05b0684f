//! Which events requests left.

use rusqlite::{Connection, params};

use super::codes::Codes;
use super::dialect;
use super::failure::Failure;
use crate::rows::Writes;
use crate::span::{self, DAY};

pub(super) fn write(connection: &Connection, codes: &Codes, writes: &Writes) -> Result<(), Failure> {
    if !writes.spans.is_empty() {
        let mut put = connection.prepare_cached(dialect::PUT_SPAN)?;
        for span in &writes.spans {
            put.execute(params![codes.tenant, span.hour, span.request, span.first, span.last])?;
        }
    }
    if let Some(now) = writes.sweep {
        let oldest = span::hour(now.minus(DAY));
        connection.prepare_cached(dialect::SWEEP_SPANS)?.execute(params![codes.tenant, oldest, span::SWEPT])?;
    }
    Ok(())
}

/// First and last event of each unit of a request in these hours.
pub(super) fn spans(connection: &Connection, codes: &Codes, request: i64, hours: &[i64]) -> Result<Vec<(i64, i64)>, Failure> {
    let mut statement = connection.prepare_cached(dialect::SPANS)?;
    let mut found = Vec::new();
    for hour in hours {
        for span in statement.query_map(params![codes.tenant, hour, request], |row| Ok((row.get(0)?, row.get(1)?)))? {
            found.push(span?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use steward_base::{Clock, TenantId, Timestamp};

    use super::super::{codes, dialect};
    use super::*;
    use crate::kind::Kinds;
    use crate::span::Span;

    fn migrated() -> (Connection, Codes) {
        let connection = Connection::open_in_memory().expect("opens");
        let (codes, _) = codes::migrate(&connection, &Kinds::new(), &Clock::system(), TenantId::OPERATOR).expect("migrates");
        (connection, codes)
    }

    #[test]
    fn what_is_older_than_a_day_is_swept() {
        let (connection, codes) = migrated();
        let now = Timestamp::from_micros(1_000_000_000_000_000);
        let span = |age: i64| Span { hour: span::hour(now) - age, request: 7, first: 100 - age, last: 100 - age };
        write(&connection, &codes, &Writes { spans: [0, 24, 25, 40].map(span).to_vec(), ..Writes::default() }).expect("writes");
        let all: Vec<i64> = (0..=40).map(|age| span(age).hour).collect();
        assert_eq!(spans(&connection, &codes, 7, &all).expect("reads").len(), 4);
        assert_eq!(spans(&connection, &codes, 8, &all).expect("reads"), []);
        assert_eq!(spans(&connection, &codes, 7, &span::hours(now)).expect("reads"), [(76, 76), (100, 100)]);
        write(&connection, &codes, &Writes { sweep: Some(now), ..Writes::default() }).expect("sweeps");
        assert_eq!(spans(&connection, &codes, 7, &all).expect("reads"), [(100, 100), (76, 76)]);
    }

    #[test]
    fn a_request_is_looked_up_and_never_looked_for() {
        let (connection, _) = migrated();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", dialect::SPANS)).expect("is a statement");
        let steps = plan.query_map([1, 2, 3], |row| row.get::<_, String>(3)).expect("asks");
        let steps: Vec<String> = steps.map(|step| step.expect("reads")).collect();
        assert_eq!(steps, ["SEARCH request_span USING PRIMARY KEY (tenant=? AND hour=? AND request=?)"]);
    }
}
