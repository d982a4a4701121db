//! Trying again after a conflict.

use super::ApiError;

/// How often [`retry_on_conflict`] tries.
const ATTEMPTS: usize = 16;

/// Runs `write`, which reads an object, changes it and updates it, until no other writer comes between.
///
/// Gives up with the last conflict after 16 attempts: that many in a row mean two writers undo each other.
///
/// ```
/// # use std::sync::Arc;
/// # use orch_core::client::{Client, retry_on_conflict};
/// # use orch_core::object::{Object, ObjectMeta};
/// # #[derive(Clone, Debug, serde::Serialize, serde::Deserialize, Object)]
/// # #[object(group = "example.com", kind = "Cat")]
/// # struct Cat { metadata: ObjectMeta, lives: u32 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), orch_core::client::ApiError> {
/// # let client = Client::new(Arc::new(orch_core::store::MemoryStore::new()));
/// let cats = client.api::<Cat>("default");
/// # cats.create(&Cat { metadata: ObjectMeta::named("tom"), lives: 9 }).await?;
/// let tom = retry_on_conflict(|| async {
///     let mut tom = cats.get("tom").await?;
///     tom.lives -= 1;
///     cats.update(&tom).await
/// })
/// .await?;
/// assert_eq!(tom.lives, 8);
/// # Ok(())
/// # }
/// ```
pub async fn retry_on_conflict<T, F>(mut write: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    for _ in 1..ATTEMPTS {
        match write().await {
            Err(ApiError::Conflict { .. }) => tokio::task::yield_now().await,
            done => return done,
        }
    }
    write().await
}
