//! Waits, shows what happens meanwhile, and says now and then what it still waits for, and why.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use orch_cluster::kinds::pod::status::{POD_SCHEDULED, condition, is_deleting, phase};
use orch_core::object::ObjectKey;
use tokio::time::{Instant, sleep_until};

use super::Error;
use super::deadline::Deadline;
use super::last_words::LastWords;
use super::news::{delay, ended, progress, trouble};
use super::state::{ends_by_itself, is_complete, is_settled};
use super::watch::{Standing, Views};

/// How long nothing may move before the quickstart gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// How long everything must be ready, with the same containers, before it counts as that: without a readiness probe a
/// container that fails at once is ready for an instant, too.
pub(crate) const STEADY: Duration = Duration::from_secs(1);

/// After how long without a word it says what it still waits for, at first and at most.
const SILENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// How many pods are named that something waits for.
const NAMED: usize = 3;

/// What is waited for.
pub(crate) struct Wait<'a> {
    /// In words.
    what: &'a str,
    /// The Deployments whose progress is shown.
    deployments: &'a [ObjectKey],
    /// Whether the manifest's pods must come to run for it: then it is shown what keeps them from it, and one that never
    /// will is its end. In any other wait, above all one for pods to be gone, neither matters.
    for_pods: bool,
    /// Whether what failed pods wrote last is told meanwhile.
    last_words: bool,
    /// How long it must stay as it is when it is over.
    steady: Duration,
    /// How long nothing may move; none: for ever.
    patience: Option<Duration>,
    deadline: Deadline,
}

impl<'a> Wait<'a> {
    /// For pods of the manifest to run.
    pub(crate) fn for_pods(what: &'a str, deadline: Deadline) -> Self {
        Self {
            what,
            deployments: &[],
            for_pods: true,
            last_words: true,
            steady: Duration::ZERO,
            patience: None,
            deadline,
        }
    }

    /// For anything else, until nothing has moved for so long.
    pub(crate) fn with_patience(what: &'a str, patience: Duration) -> Self {
        Self {
            what,
            deployments: &[],
            for_pods: false,
            last_words: true,
            steady: Duration::ZERO,
            patience: Some(patience),
            deadline: Deadline::after(None),
        }
    }

    pub(crate) fn by(self, deadline: Deadline) -> Self {
        Self { deadline, ..self }
    }

    /// Leaves what failed pods wrote last to be told by the next wait.
    pub(crate) fn before_last_words(self) -> Self {
        Self {
            last_words: false,
            ..self
        }
    }

    /// It is over when it has been for [`STEADY`], and no container was another meanwhile.
    pub(crate) fn steadily(self) -> Self {
        Self {
            steady: STEADY,
            ..self
        }
    }

    pub(crate) fn of(self, deployments: &'a [ObjectKey]) -> Self {
        Self { deployments, ..self }
    }
}

impl Views {
    /// Waits until `done`, showing what happens meanwhile; returns how long it took until that began to hold.
    pub(crate) async fn until(
        &self,
        wait: Wait<'_>,
        done: impl Fn(&Self) -> bool,
    ) -> Result<Duration, Error> {
        self.during(wait, done, pending()).await
    }

    /// Waits until `over`, or `done`: shows the Deployments as they change, what keeps pods from running, and
    /// warnings; now and then, if there is nothing else to say, what it waits for.
    pub(crate) async fn during(
        &self,
        wait: Wait<'_>,
        done: impl Fn(&Self) -> bool,
        over: impl Future<Output = Result<(), Error>>,
    ) -> Result<Duration, Error> {
        let what = wait.what;
        let (mut bell, mut rumours) = (self.bell.clone(), self.events.bell());
        let mut shown = Shown::from_now();
        let (mut moved, mut silence) = (shown.began, SILENCE.0);
        let mut last_words = LastWords::of(self);
        let mut held: Option<Held> = None;
        tokio::pin!(over);
        loop {
            bell.borrow_and_update();
            rumours.borrow_and_update();
            if wait.last_words {
                last_words.ask();
            }
            self.show(&wait, &mut shown)?;
            if wait.for_pods
                && let Some((pod, why)) = self.refused().next()
            {
                // It would wait for ever.
                return Err(format!("pod {pod} can never run here: {why}").into());
            }
            if wait.for_pods
                && let Some(deployment) = wait.deployments.iter().find(|key| self.is_never_begun(key))
            {
                let why = "it is paused, so no version of it is rolled out";
                return Err(format!("deployment {deployment} would be waited for in vain: {why}").into());
            }
            held = done(self).then(|| Held::further(held, self.standing()));
            if let Some(held) = &held
                && held.since.elapsed() >= wait.steady
            {
                for words in last_words.rest().await {
                    shown.tell(&words)?;
                }
                return Ok(held.since.duration_since(shown.began));
            }
            tokio::select! {
                result = &mut over => return result.map(|()| shown.began.elapsed()),
                _ = bell.changed() => moved = Instant::now(),
                _ = rumours.changed() => {}
                words = last_words.next() => shown.tell(&words)?,
                () = steady(held.as_ref(), wait.steady) => {}
                late = wait.late(moved) => {
                    let why = self.why(&wait, held.as_ref());
                    return Err(format!("{late} while waiting for {what}: {why}").into());
                }
                () = sleep_until(shown.said + silence) => {
                    say!("  still waiting for {what}: {}", self.why(&wait, held.as_ref()))?;
                    shown.said = Instant::now();
                    silence = (silence * 2).min(SILENCE.1);
                }
            }
        }
    }

    /// Whether a Deployment was paused before it had any pods: its controller makes none then.
    fn is_never_begun(&self, key: &ObjectKey) -> bool {
        let Some(deployment) = self.deployments.get(key) else {
            return false;
        };
        let observed = deployment
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        let is_mine = |set: &ReplicaSet| self.ours.deployment_of_set(set).as_ref() == Some(key);
        deployment.spec.paused == Some(true)
            && deployment.spec.replicas != Some(0)
            && observed == deployment.metadata.generation
            && !self.sets.list().iter().any(|set| is_mine(set))
    }

    /// Waits until something is seen for so long, with the same containers all the time; returns what was seen last.
    pub(crate) async fn held_for<T>(&self, long: Duration, seen: impl Fn() -> Option<T>) -> T {
        let mut bell = self.bell.clone();
        let mut held: Option<Held> = None;
        loop {
            bell.borrow_and_update();
            let now = seen();
            held = now.is_some().then(|| Held::further(held.take(), self.standing()));
            if let (Some(now), Some(held)) = (now, &held)
                && held.since.elapsed() >= long
            {
                return now;
            }
            tokio::select! {
                _ = bell.changed() => {}
                () = steady(held.as_ref(), long) => {}
            }
        }
    }

    /// Tells what is new.
    fn show(&self, wait: &Wait<'_>, shown: &mut Shown) -> Result<(), Error> {
        let deployments = wait.deployments.iter().filter_map(|key| {
            let deployment = self.deployments.get(key)?;
            Some((key.to_string(), progress(&deployment)?))
        });
        let pods = self.troubles().into_iter().filter(|_| wait.for_pods);
        let news = deployments.chain(pods);
        let news: Vec<_> = news
            .filter(|(what, line)| shown.lines.get(what) != Some(line))
            .collect();
        // What explains the rest goes first.
        for line in self.runtime_news().iter().chain(&news).chain(&self.warnings()) {
            shown.tell(line)?;
        }
        shown.lines.extend(news);
        Ok(())
    }

    /// Why it is not over yet.
    fn why(&self, wait: &Wait<'_>, held: Option<&Held>) -> String {
        if held.is_some() {
            return format!("it is to be so for {:?}", wait.steady);
        }
        let deployments = wait.deployments.iter().filter_map(|key| {
            let deployment = self.deployments.get(key)?;
            let progress = progress(&deployment).unwrap_or_else(|| "not been looked at".to_owned());
            (!is_complete(&deployment)).then(|| format!("{key} has {progress}"))
        });
        let pods = self.our_pods();
        let pods: Vec<_> = pods.iter().filter_map(|pod| self.pending_for(pod)).collect();
        let more = pods.len().saturating_sub(NAMED);
        let more = match more {
            0 => None,
            1 => Some("and 1 more pod".to_owned()),
            more => Some(format!("and {more} more pods")),
        };
        let why: Vec<_> = deployments
            .chain(pods.into_iter().take(NAMED))
            .chain(more)
            .collect();
        if why.is_empty() {
            return "nothing says why".to_owned();
        }
        why.join("; ")
    }

    /// What a pod is waited for.
    fn pending_for(&self, pod: &Pod) -> Option<String> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let nowhere = self.runs_nowhere(pod);
        if is_deleting(pod) {
            if ended(pod).is_some() {
                return Some(format!("pod {name} has ended and is being removed"));
            }
            if let Some(nowhere) = nowhere {
                return Some(format!("pod {name} is being removed: {nowhere}"));
            }
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            return Some(format!("pod {name} was told to end and has {grace} s for it"));
        }
        if is_settled(pod) {
            return None;
        }
        let unscheduled = condition(pod, POD_SCHEDULED)
            .filter(|condition| condition.status == "False")
            .and_then(|condition| condition.message.clone());
        let why = nowhere
            .or(unscheduled)
            .or_else(|| trouble(pod).map(without_path))
            .or_else(|| delay(pod))
            .unwrap_or_else(|| match phase(pod) {
                "Running" => match ends_by_itself(pod) {
                    Some(policy) => format!("runs, and is to end (restartPolicy: {policy})"),
                    None => "runs, and is not ready".to_owned(),
                },
                _ => "does not run yet".to_owned(),
            });
        Some(format!("pod {name}: {why}"))
    }
}

impl Wait<'_> {
    /// Resolves when it has taken too long, and says so.
    async fn late(&self, moved: Instant) -> String {
        let still = async {
            match self.patience {
                Some(patience) => sleep_until(moved + patience).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = still => format!("nothing has moved for {:?}", self.patience.unwrap_or_default()),
            passed = self.deadline.passed() => passed.to_string(),
        }
    }
}

/// That what is waited for was seen, since when, and with which containers.
struct Held {
    since: Instant,
    standing: Standing,
}

impl Held {
    /// It is seen, and may have been before.
    fn further(before: Option<Self>, standing: Standing) -> Self {
        let same = before.filter(|before| before.standing == standing);
        same.unwrap_or_else(|| Self {
            since: Instant::now(),
            standing,
        })
    }
}

/// Resolves when it has held for long enough.
async fn steady(held: Option<&Held>, long: Duration) {
    match held {
        Some(held) => sleep_until(held.since + long).await,
        None => pending().await,
    }
}

/// What one wait has told.
struct Shown {
    began: Instant,
    /// When it said something last.
    said: Instant,
    /// What it said last of each object.
    lines: BTreeMap<String, String>,
}

impl Shown {
    fn from_now() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            said: now,
            lines: BTreeMap::new(),
        }
    }

    fn tell(&mut self, (what, line): &(String, String)) -> Result<(), Error> {
        let passed = self.began.elapsed().as_secs_f64() * 1000.0;
        say!("  {passed:>6.0} ms  {what}  {line}")?;
        self.said = Instant::now();
        Ok(())
    }
}

/// What keeps a pod from running without the directories in which its program was looked for: they were told of with the
/// news.
fn without_path(why: String) -> String {
    let Some((before, listed)) = why.split_once(" in PATH (") else {
        return why;
    };
    let after = listed.split_once(')').map_or("", |(_, after)| after);
    format!("{before} in PATH{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_program_was_looked_for_is_told_once() {
        for (why, short) in [
            (
                "StartError: program \"x\" not found in PATH (/a:/b)",
                "StartError: program \"x\" not found in PATH",
            ),
            (
                "program \"x\" not found in PATH (/a); or so",
                "program \"x\" not found in PATH; or so",
            ),
            ("is on its way", "is on its way"),
        ] {
            assert_eq!(without_path(why.to_owned()), short);
        }
    }
}
