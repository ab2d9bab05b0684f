//! What is stored of a saga.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use steward_base::{Id, Prefix, Timestamp};
use steward_store::Model;

/// A saga that was begun, and where it stands.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SagaRun {
    /// Which saga, as in `create_tenant`.
    #[schemars(length(min = 1, max = 100), extend("indexed" = true, "readOnly" = true))]
    pub saga: String,
    /// What it is about.
    #[schemars(length(max = 200), extend("indexed" = true, "readOnly" = true))]
    pub key: String,
    /// Saga and key while it is unfinished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320), extend("unique" = true, "readOnly" = true))]
    pub running: Option<String>,
    /// Where it stands.
    #[schemars(extend("indexed" = true, "readOnly" = true))]
    pub state: SagaState,
    /// Its steps.
    #[serde(default)]
    #[schemars(extend("readOnly" = true))]
    pub steps: BTreeMap<String, NodeRun>,
    /// What it was begun with.
    #[serde(default)]
    #[schemars(extend("readOnly" = true))]
    pub input: Value,
    /// Why it did not do what it was to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), extend("readOnly" = true))]
    pub error: Option<String>,
    /// When it was done, undone or parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("readOnly" = true))]
    pub finished_at: Option<Timestamp>,
}

impl Model for SagaRun {
    const KIND: &'static str = "saga";
    const PREFIX: &'static str = "sag";
}

/// Of the ids of sagas.
#[derive(Debug)]
pub(crate) enum OfSaga {}

impl Prefix for OfSaga {
    const PREFIX: &'static str = SagaRun::PREFIX;
}

pub(crate) type SagaId = Id<OfSaga>;

/// What is claimed while a saga is unfinished.
pub(super) fn running(saga: &str, key: &str) -> String {
    format!("{saga}:{key}")
}

/// Where a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SagaState {
    /// Its steps are being done.
    Running,
    /// A step failed for good, or somebody called it off: what was done is being undone.
    Undoing,
    /// Every step is done.
    Done,
    /// Everything that had begun is undone.
    Undone,
    /// An undo failed for good: somebody must look, and then retry it.
    Parked,
}

impl SagaState {
    /// Whether nothing more happens to it by itself.
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Running | Self::Undoing)
    }
}

/// One step of a saga.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeRun {
    /// Where it stands.
    pub state: NodeState,
    /// How often it, or its undo, was begun. One try more than failures that nobody works at is one during which a process ended.
    #[serde(default)]
    pub tries: i32,
    /// How often it, or its undo, failed so far.
    #[serde(default)]
    pub failures: i32,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Why it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub error: Option<String>,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Not yet.
    #[default]
    Waiting,
    /// It was begun and may be done in part.
    Begun,
    /// Done.
    Done,
    /// Taken back.
    Undone,
}

impl NodeRun {
    /// Begins a try; the one before, if nobody told how it ended, failed with the process it ran in.
    pub(super) fn begin(&mut self) {
        if self.tries > self.failures {
            self.failures = self.tries;
            self.error = Some("interrupted: the process ended while it ran".to_owned());
        }
        self.tries = self.failures.saturating_add(1);
    }
}

impl SagaRun {
    pub(super) fn new(saga: &str, key: &str, input: Value) -> Self {
        Self {
            saga: saga.to_owned(),
            key: key.to_owned(),
            running: Some(running(saga, key)),
            state: SagaState::Running,
            steps: BTreeMap::new(),
            input,
            error: None,
            finished_at: None,
        }
    }

    /// Where one of its steps stands.
    pub fn step(&self, name: &str) -> NodeState {
        self.steps.get(name).map_or(NodeState::Waiting, |step| step.state)
    }

    pub(super) fn node(&mut self, name: &str) -> &mut NodeRun {
        self.steps.entry(name.to_owned()).or_default()
    }

    pub(super) fn outputs(&self) -> Map<String, Value> {
        let outputs = self.steps.iter().filter(|(_, step)| step.state == NodeState::Done);
        outputs.map(|(name, step)| (name.clone(), step.output.clone())).collect()
    }

    pub(super) fn finish(&mut self, state: SagaState, now: Timestamp) {
        (self.state, self.finished_at, self.running) = (state, Some(now), None);
    }

    /// Everything that has begun is to be undone, each with fresh patience.
    pub(super) fn turn_back(&mut self) {
        (self.state, self.finished_at) = (SagaState::Undoing, None);
        self.running = Some(running(&self.saga, &self.key));
        self.steps.values_mut().for_each(|step| (step.tries, step.failures) = (0, 0));
    }
}
