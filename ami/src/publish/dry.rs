//! A dry run: looks at what is there, and lists every call that publishing would make from here on, with its price.

use serde::Serialize;

use super::plan;
use super::{PublishError, Publisher};
use crate::aws::SnapshotState;
use crate::aws::table::Call;
use crate::bill::Bill;
use crate::image::BLOCK;

/// Billionths of a dollar for a GiB that is stored as a snapshot for a month (us-east-1).
const STORAGE: u64 = 50_000_000;

/// What is asked for besides the AMI itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extras {
    /// Regions it is copied to.
    pub copies: usize,
    /// It is shared.
    pub share: bool,
    /// Its id is written to a parameter.
    pub parameter: bool,
}

/// The whole plan.
#[derive(Debug, Default, Serialize)]
pub struct Plan {
    /// The calls.
    #[serde(flatten)]
    pub bill: Bill,
    /// What will be stored, in bytes, in each region.
    pub stored_bytes: u64,
    /// Price of storing it for a month in dollars, at most, in all regions together.
    pub dollars_per_month: f64,
}

impl Publisher<'_> {
    /// What [`Publisher::run`] would do.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn dry_run(&self, extras: Extras) -> Result<Plan, PublishError> {
        let mut plan = Plan::default();
        plan.add(Call::GetCallerIdentity, 1, "who are we?");
        plan.add(Call::DescribeImages, 1, "is this image published already?");
        if let Some(ami) = self.existing().await? {
            plan.add_extras(extras, &format!("{}, which is this image already", ami.id));
            return Ok(plan);
        }
        plan.add(Call::DescribeSnapshots, 1, "is there a snapshot to go on with, or to build on?");
        self.add_snapshot(&mut plan).await?;
        plan.add(Call::RegisterImage, 1, &format!("make {}", self.identity().name(&self.image.facts.version)));
        plan.add(Call::DescribeImages, 1, "wait for it");
        plan.add_extras(extras, "the new AMI");
        let gib = (1 << 30) as f64;
        let regions = (1 + extras.copies) as f64;
        plan.dollars_per_month = plan.stored_bytes as f64 / gib * STORAGE as f64 / 1e9 * regions;
        Ok(plan)
    }

    async fn add_snapshot(&self, plan: &mut Plan) -> Result<(), PublishError> {
        let identity = self.identity();
        let ours = self.aws.snapshots(None).await?;
        let complete =
            ours.iter().find(|found| identity.is(&found.tags) && found.state == SnapshotState::Completed);
        if let Some(found) = complete {
            plan.add(Call::CreateTags, 1, &format!("mark {}, which is complete already", found.id));
            return Ok(());
        }
        let journal = self.state.journal(&identity, self.aws.region())?;
        let going_on = journal.and_then(|journal| Some((self.base_of(&journal)?, journal.done)));
        let (base, done) = going_on.unwrap_or_else(|| {
            let base = if self.incremental { self.newest(&ours) } else { None };
            (base, Default::default())
        });
        let blocks = plan::plan(&self.image.blocks, base.as_ref().map(|base| &base.blocks));
        let left = blocks.iter().filter(|block| !done.contains(&block.index)).count() as u64;
        if done.is_empty() {
            let on = base.map(|base| format!(" on top of {}", base.origin.snapshot)).unwrap_or_default();
            plan.add(Call::StartSnapshot, 1, &format!("begin a snapshot of {} GiB{on}", self.image.gib()));
        }
        let of = format!("send {left} blocks of 512 KiB, of {} that have content", self.image.blocks.len());
        plan.add(Call::PutSnapshotBlock, left, &of);
        plan.add(Call::CompleteSnapshot, 1, "seal it with the checksum over all blocks");
        plan.add(Call::DescribeSnapshots, 1, "wait for it");
        plan.add(Call::CreateTags, 1, "mark it as published");
        plan.stored_bytes = (blocks.len() * BLOCK) as u64;
        Ok(())
    }
}

impl Plan {
    fn add(&mut self, call: Call, times: u64, why: &str) {
        self.bill.add(call, times, why);
    }

    fn add_extras(&mut self, extras: Extras, what: &str) {
        let regions = 1 + extras.copies as u64;
        if extras.copies > 0 {
            let copies = extras.copies as u64;
            self.add(Call::DescribeImages, copies, "is there a copy already?");
            self.add(Call::CopyImage, copies, &format!("copy {what}"));
            self.add(Call::DescribeImages, copies, "wait for the copies");
        }
        if extras.share {
            self.add(Call::ModifyImageAttribute, regions, &format!("share {what}"));
        }
        if extras.parameter {
            self.add(Call::PutParameter, regions, "write its id to the parameter");
        }
    }

    /// As a table for people.
    pub fn lines(&self) -> String {
        let mut text = self.bill.lines();
        text += &format!(
            "calls: ${:.6}; {:.1} MiB stored: at most ${:.4} a month (prices of us-east-1; transfer between regions not counted)",
            self.bill.dollars,
            self.stored_bytes as f64 / 1_048_576.0,
            self.dollars_per_month
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extras_are_counted_in_each_region() {
        let mut plan = Plan::default();
        plan.add_extras(Extras { copies: 2, share: true, parameter: true }, "it");
        let times = |name| plan.bill.calls.iter().find(|step| step.call == name).map(|step| step.times);
        assert_eq!(times("ec2:CopyImage"), Some(2));
        assert_eq!(times("ec2:ModifyImageAttribute"), Some(3));
        assert_eq!(times("ssm:PutParameter"), Some(3));
    }
}
