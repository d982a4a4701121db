//! What must hold of a run.

use super::state::{State, Written};

/// Judges a run: it is shown each change as it is committed, and the state in the end.
///
/// An oracle sees the store and nothing else, so it judges what components did, not how. It must not ask for more than
/// is promised at every instant: what is only reached in time belongs into [`settled`](Self::settled).
///
/// ```
/// use orch_core::object::Object;
/// use orch_core::testing::simulation::{Oracle, Written};
///
/// /// No cat ever has more than nine lives.
/// struct NineLives;
///
/// # #[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, Object)]
/// # #[object(group = "pets.example.com", version = "v1", plural = "cats")]
/// # #[serde(default)]
/// # struct Cat { metadata: orch_core::object::ObjectMeta, spec: CatSpec }
/// # #[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
/// # #[serde(default)]
/// # struct CatSpec { lives: u32 }
/// impl Oracle for NineLives {
///     fn name(&self) -> &str { "nine lives" }
///
///     fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
///         match written.is::<Cat>() {
///             Some(cat) if cat.spec.lives > 9 => Err(format!("{} has {}", written.key, cat.spec.lives)),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Oracle: Send {
    /// What holds, in a few words.
    fn name(&self) -> &str;

    /// Judges a change when it has been committed.
    ///
    /// # Errors
    ///
    /// What is wrong. It ends the run.
    fn written(&mut self, written: &Written<'_>) -> Result<(), String> {
        let _ = written;
        Ok(())
    }

    /// Judges the state when the scenario is over, the faults have ended and nothing changes any more. Of a run that does not
    /// come to that by its deadline it is asked then, to tell how far it came.
    ///
    /// # Errors
    ///
    /// What is wrong.
    fn settled(&mut self, state: &State) -> Result<(), String> {
        let _ = state;
        Ok(())
    }
}
