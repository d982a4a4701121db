//! Lists of our containers, shared by all who ask at the same time.
//!
//! The engine goes through all its containers for each list, whatever it is asked for. When fifty pods start, each
//! looks at its own containers; one list tells them all.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::engine::fault::Fault;
use crate::engine::wire::Listed;

/// What a list told, or why there is none.
pub(crate) type Told = Result<Arc<Vec<Listed>>, Fault>;

/// Lets who asks share the next list: never one that began before they asked.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The list that has yet to begin, if somebody waits for it.
    next: Mutex<Option<Arc<OnceCell<Told>>>>,
    /// Held by the one that is under way.
    turn: tokio::sync::Mutex<()>,
}

impl Listing {
    /// The answer of a list that begins after this call; `list` is called by one of those who wait for it.
    pub(crate) async fn get(&self, list: impl AsyncFnOnce() -> Result<Vec<Listed>, Fault>) -> Told {
        let cell = self.next.lock().get_or_insert_default().clone();
        let told = cell
            .get_or_init(async || {
                let _turn = self.turn.lock().await;
                // It begins: who comes from now on needs another.
                self.next.lock().take_if(|next| Arc::ptr_eq(next, &cell));
                list().await.map(Arc::new)
            })
            .await;
        told.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn who_asks_while_one_is_under_way_shares_the_next() {
        let (listing, lists, go) = (
            Arc::new(Listing::default()),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Notify::new()),
        );
        let ask = || {
            let (listing, lists, go) = (listing.clone(), lists.clone(), go.clone());
            tokio::spawn(async move {
                let list = async || {
                    let number = lists.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    let id = number.to_string();
                    Ok(vec![Listed {
                        id,
                        ..Listed::default()
                    }])
                };
                listing.get(list).await.unwrap()[0].id.clone()
            })
        };
        let first = ask();
        while lists.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // The one whose list it would be is gone before it begins: another takes it on.
        let given_up = ask();
        tokio::task::yield_now().await;
        let others = [ask(), ask(), ask()];
        tokio::task::yield_now().await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        go.notify_one();
        assert_eq!(first.await.unwrap(), "0");
        while lists.load(Ordering::SeqCst) == 1 {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        for other in others {
            assert_eq!(other.await.unwrap(), "1");
        }
        assert_eq!(lists.load(Ordering::SeqCst), 2);
    }
}
