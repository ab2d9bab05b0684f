//! What the targets share: a served installation, and a telemetry folder in which one file is somebody else's.

pub mod folder;
pub mod served;
