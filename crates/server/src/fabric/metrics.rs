//! The fabric in the Prometheus text format.

use std::fmt::{Display, Write as _};

use steward_fabric::cache::Counters;

use super::Fabric;

/// Writes the families of circuits and cache classes.
pub(super) fn render(fabric: &Fabric, out: &mut String) {
    let circuits = fabric.circuits();
    let open = circuits.iter().map(|(part, circuit)| (*part, u64::from(circuit.open)));
    family(out, "steward_circuit_open", "gauge", "part", "Whether calls to a part elsewhere are refused at once, since it failed.", open);
    let openings = circuits.iter().map(|(part, circuit)| (*part, circuit.openings));
    family(out, "steward_circuit_openings_total", "counter", "part", "How often a part elsewhere failed several times in a row.", openings);

    let classes = fabric.cache.counters();
    let mut cache = |name: &str, kind: &str, help: &str, number: fn(&Counters) -> u64| {
        let samples = classes.iter().map(|counters| (counters.class.name(), number(counters)));
        family(out, name, kind, "class", help, samples);
    };
    cache("steward_cache_hits_total", "counter", "Answered from this process.", |counters| counters.hits);
    cache("steward_cache_second_hits_total", "counter", "Answered from what processes share.", |counters| counters.second_hits);
    cache("steward_cache_joined_total", "counter", "Answered by a load that another request began.", |counters| counters.joined);
    cache("steward_cache_loads_total", "counter", "Loaded from where it comes from.", |counters| counters.loads);
    cache("steward_cache_load_failures_total", "counter", "Loads that failed.", |counters| counters.failures);
    cache("steward_cache_invalidations_total", "counter", "Forgotten because of a change.", |counters| counters.invalidations);
    cache("steward_cache_bytes", "gauge", "Memory of the entries.", |counters| counters.bytes);
}

/// One family with a sample per value of a label; nothing when there is none.
fn family<N: Display>(out: &mut String, name: &str, kind: &str, label: &str, help: &str, samples: impl Iterator<Item = (&'static str, N)>) {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    let written = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
        .and_then(|()| samples.try_for_each(|(value, number)| writeln!(out, "{name}{{{label}=\"{value}\"}} {number}")));
    written.expect("writing to a string cannot fail");
}
