//! What a backup left half sent when its process ended: uploads to a bucket that nobody completes, and that cost what they hold.

use steward_base::Result;
use steward_fabric::Scope;
use steward_fabric::blob::{Blob, Upload};

use super::lock::Lock;
use super::{MANIFESTS, NEEDED, PARTS};

/// Takes back the uploads that belong to no living backup. Whoever cannot do this makes a backup all the same.
pub(super) async fn take_back(blob: &Blob, lock: &Lock) {
    if let Err(error) = try_take_back(blob, lock).await {
        tracing::warn!(error.code = error.code(), error.causes = %error.causes(), "what backups left half sent stays until the next one");
    }
}

async fn try_take_back(blob: &Blob, lock: &Lock) -> Result<()> {
    let mut uploads = Vec::new();
    for class in NEEDED.into_iter().chain([MANIFESTS]) {
        uploads.extend(blob.unfinished(Scope::Platform, class).await?);
    }
    if uploads.is_empty() {
        return Ok(());
    }
    // Asked after the uploads: whoever began one of these had its lock before.
    let living = lock.living().await?;
    for upload in &uploads {
        let left = match owner(upload) {
            Some(name) => !living.contains(name),
            None => living.is_empty(),
        };
        if left {
            blob.abort(upload).await?;
        }
    }
    Ok(())
}

/// The backup that an upload is of, where its name tells.
fn owner(upload: &Upload) -> Option<&str> {
    let (class, name) = (upload.key.class(), upload.key.name());
    match class {
        MANIFESTS => Some(name),
        PARTS => name.split_once('.').map(|(_, backup)| backup),
        _ => None,
    }
}
