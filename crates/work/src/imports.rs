//! The job behind an import: works through a file of records, however long.

use std::time::Duration;

use steward_base::ErrorKind;
use steward_store::{Priority, UnitOfWork};
use steward_web::imports::{IMPORT_ROWS, ImportJob, Imports};

use crate::job::{Failure, JobHandler, Policy, Running};

/// A file may take a day.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Works through the files that operations left to it.
#[derive(Clone)]
pub struct ImportRows(Imports);

impl ImportRows {
    /// For the kinds that are taken in.
    pub fn new(imports: Imports) -> Self {
        Self(imports)
    }
}

impl JobHandler for ImportRows {
    const KIND: &'static str = IMPORT_ROWS;
    type Payload = ImportJob;

    async fn run(&self, job: Running, asked: ImportJob) -> Result<UnitOfWork, Failure> {
        let commit = async |ctx, unit, progress| job.commit_as(&ctx, unit, Some(progress)).await;
        let done = self.0.run(job.ctx().tenant(), job.job(), &asked, commit).await;
        match done {
            Ok(()) => Ok(UnitOfWork::new()),
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal | ErrorKind::Conflict) => {
                Err(Failure::Again(error))
            }
            // The sender may not any more, or the file is no such file: trying again changes nothing.
            Err(error) => Err(Failure::Never(error)),
        }
    }

    fn policy(&self) -> Policy {
        Policy { longest_run: LONGEST, places: Priority::Bulk, ..Policy::default() }
    }
}
