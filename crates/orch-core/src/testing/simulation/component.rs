//! A component's lives: it is started, dies where it is told to, and is started anew.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::fault::{Call, Fault, Point, SLOW};
use super::panics::guarded;
use super::plan::mix;
use super::runtime::ComponentRuntime;
use super::store::ComponentStore;
use super::trace::What;
use super::world::World;
use crate::client::Client;
use crate::random::Random;
use crate::runtime::Runtime;
use crate::store::Store;

/// How long a component is away before it is started anew.
const RESTART: Duration = Duration::from_secs(1);

type Start = dyn Fn(Life) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Something that is started, dies, and is started anew.
#[derive(Clone)]
pub(super) struct Component {
    pub(super) name: Arc<str>,
    pub(super) start: Arc<Start>,
}

/// One life of a component: all that it may touch of the world. Clones are the same life.
///
/// When it dies, no call that it has begun or begins returns any more, so that nothing which it left behind does
/// anything.
#[derive(Clone)]
pub struct Life {
    world: World,
    name: Arc<str>,
    number: u64,
    alive: watch::Sender<bool>,
    /// How many sources of randomness it was given.
    sources: Arc<AtomicU64>,
    /// Whether calls count and go wrong.
    is_tried: bool,
}

impl Life {
    fn new(world: &World, name: &Arc<str>, number: u64) -> Self {
        Self {
            world: world.clone(),
            name: name.clone(),
            number,
            alive: watch::Sender::new(true),
            sources: Arc::default(),
            is_tried: true,
        }
    }

    /// The scenario's own: nothing goes wrong with it.
    pub(super) fn of_the_scenario(world: &World) -> Self {
        Self {
            is_tried: false,
            ..Self::new(world, &"scenario".into(), 0)
        }
    }

    /// The component's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which life it is, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The world it lives in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The store, as this life sees it.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::new(ComponentStore::new(self.clone()))
    }

    /// A client over [`store`](Self::store), with the kinds and rules that the simulation was given.
    pub fn client(&self) -> Client {
        let builder = Client::builder(self.store())
            .random(self.random())
            .documents(self.world.0.documents.clone());
        (self.world.0.client)(builder)
    }

    /// A runtime, as this life sees it.
    pub fn runtime(&self, runtime: Arc<dyn Runtime>) -> Arc<dyn Runtime> {
        Arc::new(ComponentRuntime::new(self.clone(), runtime))
    }

    /// Randomness that hangs on the run's seed, the component, the life, and how often it asked before alone.
    pub fn random(&self) -> Random {
        let nth = self.sources.fetch_add(1, Ordering::Relaxed);
        let seed = mix(self.world.seed() ^ self.number, self.name.as_bytes());
        Random::seeded(mix(seed, &nth.to_le_bytes()))
    }

    /// Returns if it is alive, and its machine goes.
    pub(super) async fn live(&self) {
        if !self.is_tried {
            return;
        }
        self.world.thawed(&self.name).await;
        if !*self.alive.borrow() {
            std::future::pending::<()>().await;
        }
    }

    /// Begins a call: what goes wrong with it, the death of the caller and slowness apart.
    pub(super) async fn enter(&self, call: Call) -> (Option<Point>, Option<Fault>) {
        if !self.is_tried {
            return (None, None);
        }
        self.live().await;
        let (point, fault) = self.world.next(&self.name, call);
        match fault {
            Some(Fault::CrashBefore) => self.die().await,
            Some(Fault::Slow) => {
                tokio::time::sleep(self.world.draw_time(&point, SLOW)).await;
                self.live().await;
            }
            _ => {}
        }
        (Some(point), fault)
    }

    /// Ends a call that was done.
    pub(super) async fn leave(&self, fault: Option<Fault>) {
        if fault == Some(Fault::CrashAfter) {
            self.die().await;
        }
        self.live().await;
    }

    /// Dies; does not return.
    async fn die(&self) {
        self.alive.send_replace(false);
        std::future::pending::<()>().await;
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.is_tried && self.world.is_cut_off(&self.name)
    }

    /// Whether things can go wrong with it.
    pub(super) fn is_tried(&self) -> bool {
        self.is_tried
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }
}

impl Component {
    /// Keeps it alive: starts it, and starts it anew whenever it died or returned.
    pub(super) async fn keep(self, world: World) {
        for number in 1.. {
            let life = Life::new(&world, &self.name, number);
            world.begin_life(&self.name, life.alive.clone());
            world.record(&self.name, What::Started(number), &[]);
            let mut alive = life.alive.subscribe();
            let running = guarded(&self.name, async { (self.start)(life.clone()).await });
            tokio::select! {
                biased;
                _ = alive.wait_for(|alive| !alive) => world.record(&self.name, What::Crashed, &[]),
                ended = running => {
                    // What it left running has died with it.
                    life.alive.send_replace(false);
                    match ended {
                        Ok(()) => world.returned(&self.name),
                        Err(why) => world.fail(why),
                    }
                }
            }
            tokio::time::sleep(RESTART).await;
            world.up(&self.name).await;
        }
    }
}
