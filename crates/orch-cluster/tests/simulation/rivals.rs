//! Who writes beside whom: users of one object, leaders that follow each other, and controllers whose view is old.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use orch_cluster::testing::{Machines, add_cluster, add_cluster_with_leaders, apply, simulation};
use orch_core::testing::simulation::{Fault, Life, Oracle, Rates, Simulation, State, World, Written};

use super::{rolled_out, scenario, web};
use crate::pods::rescaled;

const USERS: [&str; 3] = ["user-1", "user-2", "user-3"];

/// How far each user counts.
const EACH: u32 = 5;

/// How long a user thinks about what it has read, and waits when there is nothing to read.
const THINKS: Duration = Duration::from_secs(1);

fn count_of(tally: &ConfigMap, user: &str) -> u32 {
    let count = tally.data.as_ref().and_then(|data| data.get(user));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Counts in an object that others count in as well: what it writes is what it read, but for its own number.
async fn count(life: Life) {
    let tallies = life.client().api::<ConfigMap>("default");
    let user = life.name();
    loop {
        let read = tallies.get_opt("tally").await;
        tokio::time::sleep(THINKS).await;
        let Ok(Some(mut tally)) = read else { continue };
        let own = count_of(&tally, user);
        if own < EACH {
            let counts = tally.data.get_or_insert_default();
            counts.insert(user.to_owned(), (own + 1).to_string());
            // If it fails, and if it is not known to have been done, the next read tells.
            drop(tallies.update(&tally).await);
        }
    }
}

/// What a user has counted stays counted.
#[derive(Default)]
struct Counted(BTreeMap<&'static str, u32>);

impl Oracle for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let Some(tally) = written.is::<ConfigMap>() else {
            return Ok(());
        };
        for user in USERS {
            let (now, before) = (count_of(&tally, user), self.0.entry(user).or_default());
            if now < *before {
                return Err(format!("{user} had counted to {before}, and now to {now}"));
            }
            *before = now;
        }
        Ok(())
    }
}

/// Users change one object, each on the version that it has read.
pub(crate) fn tally() -> Simulation {
    simulation("tally", |run| {
        add_cluster(run, &Machines::new(1));
        USERS.into_iter().for_each(|user| run.component(user, count));
        run.oracle(Counted::default());
        run.scenario(|world| async move {
            let tally = "{apiVersion: v1, kind: ConfigMap, metadata: {name: tally, namespace: default}}";
            apply(&world, tally).await?;
            let is_done = |tally: &ConfigMap| USERS.iter().all(|user| count_of(tally, user) == EACH);
            let all_counted = |state: &State| state.all::<ConfigMap>().iter().any(|tally| is_done(tally));
            world.until(all_counted).await;
            Ok(())
        });
    })
    .storm(Duration::from_secs(60))
}

/// A ReplicaSet is scaled by leaders whose writes come late: those of one that no longer leads must not count.
pub(crate) fn deposed() -> Simulation {
    simulation("deposed", |run| {
        add_cluster_with_leaders(run, &Machines::new(1), 2);
        run.scenario(rescaled);
    })
    .rates(Rates::none().of(Fault::Late, 0.1))
    .storm(Duration::from_secs(120))
}

/// All is well, but views are far behind: nobody may act on what is long over.
pub(crate) fn stalled() -> Simulation {
    let simulation = scenario(
        "stalled",
        || Machines::new(2),
        |world: World| async move {
            apply(&world, &web("default", 3, "web:1")).await?;
            rolled_out(&world, 3, "web:1").await;
            Ok(())
        },
    );
    simulation
        .rates(Rates::none().of(Fault::Lags, 0.05))
        .lag(Duration::from_secs(90))
        .storm(Duration::from_secs(600))
}
