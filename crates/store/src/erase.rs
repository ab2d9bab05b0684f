//! Erasing one record: what is left of it is that it was there.

use std::borrow::Cow;

use steward_base::{Ctx, Error, RecordId};

use crate::places::ask;
use crate::{Committed, Store, UnitOfWork};

impl Store {
    /// Erases a record, live or deleted, and makes sure that the database files no longer hold it: see [`UnitOfWork::erase`]. Backups that were
    /// made before still do. It may be called again; then it does what is left to do.
    pub async fn erase_record(&self, ctx: &Ctx, kind: impl Into<Cow<'static, str>>, id: RecordId) -> Result<Committed, Error> {
        let committed = self.commit(ctx, UnitOfWork::new().erase(kind, id)).await?;
        self.scrub(ctx).await?;
        Ok(committed)
    }

    /// Makes sure that what was deleted from the tenant's database stands there no longer. On SQLite the file is written anew, while commits
    /// wait, and the log is emptied; on PostgreSQL dead rows are vacuumed, beside everything else.
    pub async fn scrub(&self, ctx: &Ctx) -> Result<(), Error> {
        ask!(self.0.places, ctx.tenant(), engine => engine.scrub(ctx.tenant()))
    }
}
