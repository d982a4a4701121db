//! What one run does, from what it finds to what it leaves.

use std::time::Duration;

use orch_cluster::cluster::{Cluster, Removal};
use orch_cluster::manifest::Manifest;
use orch_core::runtime::Runtime;

use super::Error;
use super::check::check;
use super::clean::{clean, clean_quietly, finish};
use super::deadline::Deadline;
use super::earlier::Earlier;
use super::leftover::Leftover;
use super::options::Options;
use super::say::{self, Early};
use super::steps::{self, Applied, Measured, Until};
use super::watch::Views;

/// All that it works with.
pub(crate) struct Job<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) views: &'a Views,
    pub(crate) earlier: &'a Earlier,
    pub(crate) leftover: &'a Leftover,
    pub(crate) runtime: &'a dyn Runtime,
    pub(crate) manifest: &'a Manifest,
    pub(crate) options: &'a Options,
    /// By when everything must have been shown.
    pub(crate) deadline: Deadline,
}

impl Job<'_> {
    pub(crate) async fn run(&self) -> Result<(), Error> {
        if self.options.clean {
            return self.only_clean().await;
        }
        self.leftover.tell(self.runtime)?;
        // Before anything is made: it would be there, and never run.
        check(self.cluster, self.views, self.manifest).await?;
        steps::node(self.views, self.deadline).await?;
        let as_it_was = self
            .earlier
            .compare(self.cluster, self.views, self.deadline)
            .await?;
        finish(self.cluster, self.views, self.manifest, self.deadline).await?;
        // One that is refused leaves everything as it was.
        let applied = steps::apply(self.cluster, self.manifest).await?;
        let result = self.show(&applied, as_it_was).await;
        if self.options.keep {
            result?;
            say!("going on until Ctrl-C; what changes is told here")?;
            return self.views.follow().await;
        }
        if result.as_ref().is_err_and(Early::is_closed) {
            return result;
        }
        let Err(error) = result else {
            return self.clean().await;
        };
        // At once, for what follows may take a while, and can be interrupted.
        say::failed(&error);
        let cleaned = match say!("failed, and cleaning up") {
            Ok(()) => self.clean().await,
            closed => closed,
        };
        let cleaned = match cleaned {
            // That nobody reads it there is not why it has failed.
            Err(closed) if Early::is_closed(&closed) => {
                clean_quietly(self.cluster, self.views, self.manifest).await
            }
            cleaned => cleaned,
        };
        match cleaned {
            Ok(()) => Err(Early::Failed.into()),
            Err(also) => Err(format!("cleaning up: {also}").into()),
        }
    }

    async fn clean(&self) -> Result<(), Error> {
        // What the timeout is for is over.
        let no_end = Deadline::after(None);
        let removed = clean(self.cluster, self.views, self.manifest, no_end).await?;
        for one in removed.iter().filter(|one| one.removal == Removal::Kept) {
            let kind = one.target.resource.kind.to_lowercase();
            say!(
                "{kind}/{} {}: every cluster has it",
                one.target.key.name(),
                one.removal
            )?;
        }
        say!("cleaned up; the state file stays")
    }

    /// Waits until all is ready, kills, rolls, rolls back, and says what that took.
    async fn show(&self, applied: &Applied, as_it_was: bool) -> Result<(), Error> {
        let Self {
            cluster,
            views,
            options,
            deadline,
            ..
        } = *self;
        let mut measured = Measured::default();
        let until = if options.keep { Until::Runs } else { Until::Ended };
        let ready = steps::ready(cluster, views, applied, until, deadline).await?;
        if ready.ended {
            measured.settled = Some(ready.took);
        } else {
            measured.ready = Some(ready.took);
        }
        match applied.deployments.first() {
            // Who comes back to what was kept wants it as it is.
            _ if options.keep && applied.unchanged && as_it_was => {
                say!("everything is as it was, and left so")?;
            }
            _ if options.keep && applied.unchanged => {
                say!("the manifest has not changed: all is left as it is now")?;
            }
            None => {}
            Some(first) if !options.demo => {
                say!("deployment {first} is not killed or rolled: --no-demo says so")?;
            }
            Some(first) => match steps::is_still(views, first) {
                Some(why) => say!("deployment {first} is not killed or rolled: {why}")?,
                None => {
                    measured.heal = Some(steps::kill(cluster, views, first, deadline).await?);
                    if let Some(why) = steps::cannot_roll(views, first) {
                        say!("deployment {first} is not rolled: {why}")?;
                    } else {
                        measured.roll = steps::roll(cluster, views, first, deadline).await?;
                        let back = steps::roll_back(cluster, views, first, deadline).await?;
                        measured.back = measured.roll.and(Some(back));
                    }
                }
            },
        }
        report(&measured)?;
        if ready.failed.is_empty() {
            return Ok(());
        }
        let failed = format!("failed for good: {}", ready.failed.join("; "));
        if options.keep {
            // It goes on for the others.
            return say!("{failed}");
        }
        Err(failed.into())
    }

    /// Ends with nothing of the manifest, whatever became of it before.
    async fn only_clean(&self) -> Result<(), Error> {
        for one in clean(self.cluster, self.views, self.manifest, self.deadline).await? {
            let word = match one.removal {
                // By now.
                Removal::Deleting => Removal::Deleted,
                other => other,
            };
            let kind = one.target.resource.kind.to_lowercase();
            say!("{kind}/{} {word}", one.target.key.name())?;
        }
        let removing = self.leftover.remove(self.runtime);
        let what = "what still runs of an earlier run to be gone";
        self.deadline.bound(what, removing).await?;
        say!("everything the manifest made is gone")
    }
}

fn report(measured: &Measured) -> Result<(), Error> {
    for (what, took) in [
        ("applied to ready", measured.ready),
        ("applied to ready or ended", measured.settled),
        ("killed to ready again", measured.heal),
        ("rolled to the new version", measured.roll),
        ("rolled back", measured.back),
    ] {
        if let Some(took) = took {
            say!("{what:26} {:>8.0} ms", millis(took))?;
        }
    }
    Ok(())
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
