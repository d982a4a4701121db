//! What the queue gives, in which order, and when.

use proptest::prelude::*;

use super::super::{Requirements, Resources};
use super::*;

fn shape(cpu: u64) -> Shape {
    Requirements::of(Resources::new(cpu, 0)).into()
}

fn request(key: &str, cpu: u64) -> Request {
    Request::new(key, shape(cpu))
}

/// The keys that can be popped now, each reported as refused at once if `refuse`, else as placed.
fn drain(queue: &Queue, refuse: bool) -> Vec<String> {
    let mut keys = Vec::new();
    while let Some(popped) = queue.try_pop() {
        let key = popped.request.key;
        if refuse {
            queue.refused(&key);
        } else {
            queue.placed(&key);
        }
        keys.push(key.to_string());
    }
    keys
}

#[tokio::test(start_paused = true)]
async fn higher_priority_comes_first_then_lower_order_then_the_key() {
    let queue = Queue::default();
    queue.push(request("b", 1).order(2));
    queue.push(request("c", 1).order(1));
    queue.push(request("a", 1).order(2));
    queue.push(request("low", 1).priority(-1));
    queue.push(request("high", 1).priority(1).order(9));
    assert_eq!(drain(&queue, false), ["high", "c", "a", "b", "low"]);
}

#[tokio::test(start_paused = true)]
async fn the_refused_stay_parked_until_one_of_their_shape_may_fit() {
    let queue = Queue::default();
    for (key, cpu) in [("big-1", 9), ("big-2", 9), ("small-1", 1), ("small-2", 1)] {
        queue.push(request(key, cpu));
    }
    assert_eq!(drain(&queue, true).len(), 4);
    assert_eq!(queue.depth().parked, 4);

    queue.wake(|request| request.shape.resources.cpu_millis < 5);
    assert_eq!(queue.depth().active, 1, "one of the shape that fits");
    assert_eq!(
        drain(&queue, false),
        ["small-1", "small-2"],
        "the next follows the placed"
    );
    assert_eq!((queue.depth().parked, queue.depth().binding), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_away_passes_its_turn_to_the_next_of_its_shape() {
    for leave in [Queue::remove as fn(&Queue, &str), Queue::failed, Queue::placed] {
        let queue = Queue::default();
        queue.push(request("1", 1));
        queue.push(request("2", 1));
        drain(&queue, true);
        queue.wake(|_| true);
        assert_eq!(&*queue.try_pop().unwrap().request.key, "1");
        leave(&queue, "1");
        assert_eq!(&*queue.try_pop().unwrap().request.key, "2");
    }
    // Also if it is removed before it is popped.
    let queue = Queue::default();
    queue.push(request("1", 1));
    queue.push(request("2", 1));
    drain(&queue, true);
    queue.wake(|_| true);
    queue.remove("1");
    assert_eq!(&*queue.try_pop().unwrap().request.key, "2");
}

#[tokio::test(start_paused = true)]
async fn a_wake_between_pop_and_refusal_is_not_lost() {
    let queue = Queue::default();
    queue.push(request("a", 1));
    let popped = queue.try_pop().unwrap();
    queue.wake(|_| true);
    queue.refused(&popped.request.key);
    assert_eq!(queue.depth().active, 1);
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_exponentially_up_to_the_maximum() {
    let queue = Queue::default();
    queue.push(request("a", 1));
    let start = Instant::now();
    let mut waited = Vec::new();
    for failures in 0..6 {
        let popped = queue.pop().await.unwrap();
        assert_eq!(popped.failures, failures);
        waited.push(start.elapsed().as_secs());
        if failures % 2 == 0 {
            queue.placed("a"); // a failure to bind comes after the place was found
        }
        queue.failed("a");
        assert_eq!(
            queue.depth(),
            Depth {
                backing_off: 1,
                ..Depth::default()
            }
        );
    }
    assert_eq!(waited, [0, 1, 3, 7, 15, 25]);
}

#[tokio::test(start_paused = true)]
async fn the_parked_are_tried_again_after_the_flush_interval() {
    let queue = Queue::default();
    queue.push(request("a", 1));
    drain(&queue, true);
    let start = Instant::now();
    for round in 1..=3 {
        assert_eq!(&*queue.pop().await.unwrap().request.key, "a");
        assert_eq!(start.elapsed().as_secs(), 300 * round);
        queue.refused("a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_request_is_tried_again_and_an_equal_one_is_not() {
    let queue = Queue::default();
    queue.push(request("a", 9));
    drain(&queue, true);
    queue.push(request("a", 9));
    assert_eq!(queue.depth().parked, 1);
    queue.push(request("a", 1));
    let popped = queue.try_pop().unwrap();
    assert_eq!(popped.request.shape, shape(1));

    queue.push(request("a", 2)); // while in flight
    assert_eq!(queue.depth().active, 0);
    queue.refused("a");
    assert_eq!(queue.try_pop().unwrap().request.shape, shape(2));

    queue.placed("a");
    queue.push(request("a", 2)); // a stale sight of it, while it is being bound
    assert_eq!(
        queue.depth(),
        Depth {
            binding: 1,
            ..Depth::default()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_reaches_whoever_waits_and_each_goes_to_one() {
    let queue = std::sync::Arc::new(Queue::default());
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.pop().await.map(|popped| popped.request.key.to_string()) })
        })
        .collect();
    tokio::task::yield_now().await;
    queue.push(request("a", 1));
    queue.push(request("b", 1));
    let mut got = Vec::new();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(queue.depth().in_flight, 2);
    queue.close();
    for task in waiting {
        got.push(task.await.unwrap());
    }
    got.sort();
    assert_eq!(got, [None, Some("a".to_owned()), Some("b".to_owned())]);
    assert_eq!(queue.pop().await, None);
}

#[derive(Clone, Debug)]
enum Step {
    Push { key: u8, shape: u64, priority: i32 },
    Remove { key: u8 },
    Pop,
    Report { nth: usize, how: u8 },
    Wake { below: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..12_u8, 0..3_u64, -2..3_i32).prop_map(|(key, shape, priority)| Step::Push {
            key,
            shape,
            priority
        }),
        (0..12_u8).prop_map(|key| Step::Remove { key }),
        Just(Step::Pop),
        Just(Step::Pop),
        (0..4_usize, 0..3_u8).prop_map(|(nth, how)| Step::Report { nth, how }),
        (0..4_u64).prop_map(|below| Step::Wake { below }),
    ]
}

proptest! {
    /// Whatever happens: the stages add up to the requests known, what is popped is the first of the
    /// active, and once everything in flight is reported and all are woken, each parked shape has one on its way.
    #[test]
    fn no_request_is_lost_and_none_overtakes(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let queue = Queue::default();
            let mut in_flight: Vec<Key> = Vec::new();
            let mut known: BTreeSet<String> = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Push { key, shape, priority } => {
                        known.insert(key.to_string());
                        queue.push(request(&key.to_string(), shape).priority(priority));
                    }
                    Step::Remove { key } => {
                        known.remove(&key.to_string());
                        queue.remove(&key.to_string());
                        in_flight.retain(|one| **one != *key.to_string());
                    }
                    Step::Pop => {
                        let first = queue.state.lock().active.first().cloned();
                        let popped = queue.try_pop();
                        prop_assert_eq!(first.map(|rank| rank.2), popped.as_ref().map(|popped| popped.request.key.clone()));
                        in_flight.extend(popped.map(|popped| popped.request.key));
                    }
                    Step::Report { nth, how } if !in_flight.is_empty() => {
                        let key = in_flight.remove(nth % in_flight.len());
                        match how {
                            0 => queue.placed(&key),
                            1 => queue.refused(&key),
                            _ => queue.failed(&key),
                        }
                    }
                    Step::Report { .. } => {}
                    Step::Wake { below } => queue.wake(|request| request.shape.resources.cpu_millis < below),
                }
                let depth = queue.depth();
                let sum = depth.active + depth.in_flight + depth.binding + depth.backing_off + depth.parked;
                prop_assert_eq!(sum, known.len());
                prop_assert_eq!(depth.in_flight, in_flight.len());
            }
            // All that waits for anything comes out in the end, by time alone.
            for key in in_flight {
                queue.refused(&key);
            }
            let waiting = known.len() - queue.depth().binding;
            for _ in 0..waiting {
                let popped = queue.pop().await.unwrap();
                queue.placed(&popped.request.key);
            }
            prop_assert_eq!(queue.depth(), Depth { binding: known.len(), ..Depth::default() });
            Ok(())
        })?;
    }
}
