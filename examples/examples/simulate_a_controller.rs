//! A controller that looks right, passes its test, and now and then bills a customer twice: found by a simulation, with
//! the one crash that it takes.
//!
//!     cargo run --features testing --example simulate_a_controller
//!     cargo test -p orch-examples --features testing simulate_a_controller

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_core::client::ApiError;
use orch_core::controller::{Action, Context, Controller, Engine, ReconcileError};
use orch_core::object::{Object, ObjectMeta};
use orch_core::testing::simulation::{Failure, Life, Oracle, Simulation, State, World, Written};
use serde::{Deserialize, Serialize};

const ORDERS: usize = 10;

/// Is to be billed, once.
#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com")]
struct Order {
    metadata: ObjectMeta,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Billed>,
}

/// By which invoice.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Billed {
    invoice: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, Object)]
#[object(group = "example.com")]
struct Invoice {
    metadata: ObjectMeta,
    order: String,
}

#[derive(Clone, Copy)]
enum Billing {
    /// Makes an invoice with a name that is drawn, then notes the name: who dies between the two has made one that
    /// nobody remembers.
    Wrong,
    /// An invoice has its order's name. Made twice, it is there already.
    Right,
}

#[async_trait::async_trait]
impl Controller for Billing {
    type Object = Order;

    async fn reconcile(&self, order: Arc<Order>, cx: &Context) -> Result<Action, ReconcileError> {
        if order.status.is_some() {
            return Ok(Action::done());
        }
        let name = &order.metadata.name;
        let mut invoice = Invoice {
            metadata: ObjectMeta::default(),
            order: name.clone(),
        };
        match self {
            Self::Wrong => invoice.metadata.generate_name = Some(format!("{name}-")),
            Self::Right => invoice.metadata.name.clone_from(name),
        }
        let invoice = match cx.client().api::<Invoice>("default").create(&invoice).await {
            Ok(made) => made.metadata.name,
            Err(ApiError::AlreadyExists(_)) => name.clone(),
            Err(error) => return Err(error.into()),
        };
        let orders = cx.client().api::<Order>("default");
        orders.put_status_of(&*order, &Billed { invoice }).await?;
        Ok(Action::done())
    }
}

/// What must hold at every instant, whatever goes wrong. It is shown each change when it has been committed.
struct BilledOnce;

impl Oracle for BilledOnce {
    fn name(&self) -> &str {
        "billed once"
    }

    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let mut invoices = BTreeMap::<String, usize>::new();
        for invoice in written.state.all::<Invoice>() {
            *invoices.entry(invoice.order.clone()).or_default() += 1;
        }
        match invoices.iter().find(|(_, count)| **count > 1) {
            Some((order, count)) => Err(format!("order {order} has {count} invoices")),
            None => Ok(()),
        }
    }
}

/// What users do, and wait for.
async fn order(world: World) -> Result<(), String> {
    let orders = world.client().api::<Order>("default");
    for number in 0..ORDERS {
        let order = Order {
            metadata: ObjectMeta::named(format!("order-{number}")),
            status: None,
        };
        orders.create(&order).await.map_err(|error| error.to_string())?;
    }
    let all_billed = |state: &State| state.all::<Order>().iter().all(|order| order.status.is_some());
    world.until(all_billed).await;
    Ok(())
}

/// A life of the controller: its client, its view and its randomness are the simulation's, which crashes it, makes its
/// commits fail, its watches lag, and starts it anew.
async fn controller(life: Life, billing: Billing) {
    let running = Engine::new(billing, &life.client()).random(life.random()).start();
    std::future::pending::<()>().await;
    drop(running);
}

fn simulation(billing: Billing) -> Simulation {
    Simulation::new("billing", move |run| {
        run.component("billing", move |life| controller(life, billing));
        run.oracle(BilledOnce);
        run.scenario(order);
    })
    // Names are drawn in some runs, and differ.
    .normal(|document| Some(document.kind().to_owned()))
    // For how long things go wrong, and how long nothing may happen after it: longer than any retry takes.
    .storm(Duration::from_secs(60))
    .quiet(Duration::from_secs(60))
}

fn main() -> Result<(), Box<Failure>> {
    for (name, billing) in [("wrong", Billing::Wrong), ("right", Billing::Right)] {
        let simulation = simulation(billing);
        let began = Instant::now();
        let calm = simulation.run_calm(0);
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let outcome = calm.failure.as_deref().unwrap_or("passes");
        println!("the {name} controller, nothing going wrong: {outcome} ({ORDERS} orders, {took:.1} ms)");
        match (billing, simulation.sweep()) {
            (Billing::Wrong, Err(failure)) => {
                println!("the {name} controller, one thing going wrong: fails\n\n{failure}\n");
            }
            (_, swept) => println!(
                "the {name} controller, one thing going wrong at each place: {}",
                swept?
            ),
        }
        if matches!(billing, Billing::Right) {
            let passed = simulation.seeds(0..200)?;
            println!("the {name} controller, many things going wrong by chance: {passed}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_notices_what_is_wrong_as_long_as_nothing_goes_wrong() {
        for billing in [Billing::Wrong, Billing::Right] {
            assert_eq!(simulation(billing).run_calm(1).failure, None);
        }
    }

    #[test]
    fn one_crash_shows_what_is_wrong() {
        let failure = simulation(Billing::Wrong).sweep().expect_err("it is wrong");
        assert_eq!(failure.strikes.len(), 1, "{failure}");
        assert!(failure.why.starts_with("billed once: order order-"), "{failure}");
        let again = simulation(Billing::Wrong).replay(&failure.replay());
        assert_eq!(again.expect_err("it fails again").why, failure.why);
    }

    #[test]
    fn the_right_one_survives_each_fault_at_each_place_and_storms() {
        let simulation = simulation(Billing::Right);
        let swept = simulation.sweep().unwrap_or_else(|failure| panic!("{failure}"));
        assert!(swept.runs > 30, "{swept}");
        let stormy = simulation
            .seeds(0..100)
            .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(stormy.faults > 100, "{stormy}");
    }
}
