//! The conformance suite for [`Runtime`]s, for ours and third parties' alike.
//!
//! A runtime's author writes a [`Harness`], which opens the runtime and says what can run in it, and one line
//! for `cargo test`:
//!
//! ```
//! use std::sync::Arc;
//! use orch_core::runtime::Runtime;
//! use orch_core::testing::FakeRuntime;
//! use orch_core::testing::runtime::{Harness, Program};
//!
//! #[derive(Default)]
//! struct Fake(FakeRuntime);
//!
//! #[async_trait::async_trait]
//! impl Harness for Fake {
//!     async fn open(&self) -> Arc<dyn Runtime> {
//!         Arc::new(self.0.clone())
//!     }
//!     fn image(&self) -> String {
//!         "any".into()
//!     }
//!     fn command(&self, program: &Program) -> Vec<String> {
//!         program.to_command() // most runtimes leave it at the shell script that is the default
//!     }
//!     fn virtual_time(&self) -> bool {
//!         true
//!     }
//! }
//!
//! mod conformance {
//!     # use super::Fake;
//!     orch_core::runtime_conformance!(Fake::default());
//! }
//! # fn main() {}
//! ```
//!
//! That makes one test of each case, to be run and filtered by name. [`run_all`] runs them one after the
//! other and reports. Cases that need an ability the runtime does not declare are skipped, and say so.

mod adoption;
mod containers;
mod exec;
mod extras;
mod groups;
mod lifecycle;
mod logs;
mod pausing;
mod ports;
mod program;
mod refusals;
mod rig;
mod sandboxes;
mod users;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

pub use program::{Program, Step};
use rig::{Case, Rig, Skip};

use crate::runtime::{Runtime, SandboxConfig};

/// Opens a runtime for the suite, and says what can run in it.
///
/// A harness stands for one place where containers live: an engine and a scope in it, a state directory.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Opens the runtime; called again once what it returned before is dropped, the same place again, as
    /// another process would find it.
    async fn open(&self) -> Arc<dyn Runtime>;

    /// An image that is present, in which commands run.
    fn image(&self) -> String;

    /// A command that does as the program says.
    fn command(&self, program: &Program) -> Vec<String> {
        program.to_shell()
    }

    /// An image reference that is neither present nor to be had, if there is such.
    fn missing_image(&self) -> Option<String> {
        None
    }

    /// An image that can be pulled, if any, and that the suite may remove.
    fn pullable_image(&self) -> Option<String> {
        None
    }

    /// What each sandbox of the suite is to be beside what a case asks for. A case on the machine's network takes users of
    /// its own back.
    fn sandbox(&self, config: SandboxConfig) -> SandboxConfig {
        config
    }

    /// A directory of the machine to mount from.
    fn scratch(&self) -> PathBuf {
        std::env::temp_dir()
    }

    /// Whether time is tokio's alone, so that the suite can run under a paused clock.
    fn virtual_time(&self) -> bool {
        false
    }

    /// How long the suite waits for what must happen. Only failures take this long.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The runtime does as the trait says.
    Passed,
    /// It needs something that the runtime does not declare, or the harness does not offer.
    Skipped {
        /// What.
        needs: &'static str,
    },
    /// The runtime does something else.
    Failed {
        /// What.
        message: String,
    },
}

/// How all cases went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By name, in the order run.
    pub cases: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// Whether no case failed.
    pub fn passed(&self) -> bool {
        !self
            .cases
            .iter()
            .any(|(_, outcome)| matches!(outcome, Outcome::Failed { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.cases {
            match outcome {
                Outcome::Passed => writeln!(f, "passed  {name}")?,
                Outcome::Skipped { needs } => writeln!(f, "skipped {name}: needs {needs}")?,
                Outcome::Failed { message } => writeln!(f, "FAILED  {name}: {message}")?,
            }
        }
        Ok(())
    }
}

/// The names of all cases, in the order [`run_all`] runs them.
pub fn cases() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

/// Runs every case, one after the other.
pub async fn run_all(harness: &dyn Harness) -> Report {
    let mut report = Report::default();
    for (name, case) in CASES {
        report.cases.push((name, run_one(harness, name, *case).await));
    }
    report
}

/// Runs the case of this name in a tokio runtime of its own, as a test: panics if it fails. What
/// [`runtime_conformance!`](crate::runtime_conformance) expands to.
///
/// # Panics
///
/// Also if there is no case of this name.
pub fn run_case(harness: &dyn Harness, name: &str) {
    let found = CASES.iter().find(|(case, _)| *case == name);
    let (name, case) = found.unwrap_or_else(|| panic!("there is no case {name}"));
    let tokio = if harness.virtual_time() {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
    };
    let outcome = tokio
        .expect("a tokio runtime for a test")
        .block_on(run_one(harness, name, *case));
    match outcome {
        Outcome::Passed => {}
        Outcome::Skipped { needs } => note(&format!("{name} skipped: needs {needs}")),
        Outcome::Failed { message } => panic!("{message}"),
    }
}

#[allow(clippy::print_stderr, reason = "cargo shows it with the test it belongs to")]
fn note(message: &str) {
    eprintln!("{message}");
}

async fn run_one(harness: &dyn Harness, name: &str, case: CaseFn) -> Outcome {
    let mut rig = Rig::open(harness, name).await;
    // Nothing of the rig is looked at afterwards but what it cleans up.
    let result = AssertUnwindSafe(case(&mut rig)).catch_unwind().await;
    let left = rig.clean_up().await;
    match (result, left) {
        (Ok(Ok(())), None) => Outcome::Passed,
        (Ok(Err(Skip(needs))), None) => Outcome::Skipped { needs },
        (Ok(_), Some(message)) => Outcome::Failed { message },
        (Err(panic), _) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Outcome::Failed {
                message: text.unwrap_or("panicked").to_owned(),
            }
        }
    }
}

type CaseFn = for<'a, 'h> fn(&'a mut Rig<'h>) -> BoxFuture<'a, Case>;

/// Hands the list of all cases, as `module::name`, to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_conformance_cases {
    ($macro:ident ! $($first:tt)*) => {
        $crate::$macro! { $($first)*
            sandboxes::a_sandbox_is_listed_as_it_was_asked_for,
            sandboxes::running_a_sandbox_twice_gives_the_same_one,
            sandboxes::a_stopped_sandbox_stays_listed_and_runs_nothing,
            sandboxes::a_removed_sandbox_takes_its_containers_along,
            sandboxes::sandboxes_are_listed_by_filter,
            sandboxes::a_pod_network_gives_each_sandbox_an_address,
            sandboxes::what_is_not_there_is_not_found,
            containers::a_container_is_listed_as_it_was_asked_for,
            containers::creating_a_container_twice_gives_the_same_one,
            containers::containers_are_listed_by_filter,
            containers::a_container_needs_its_image,
            containers::a_program_sees_its_arguments_and_environment,
            containers::a_program_starts_in_its_working_directory,
            containers::a_program_that_cannot_be_started_is_a_start_failure,
            containers::removing_a_running_container_kills_it,
            containers::many_containers_run_at_once,
            lifecycle::a_container_runs_only_once_it_is_started,
            lifecycle::starting_twice_starts_once,
            lifecycle::exit_codes_are_kept,
            lifecycle::a_signal_shows_as_128_and_its_number,
            lifecycle::an_ended_container_is_not_started_again,
            lifecycle::a_program_that_takes_the_stop_signal_ends_its_own_way,
            lifecycle::the_stop_signal_can_be_chosen,
            lifecycle::a_program_that_ignores_the_stop_signal_is_killed_after_the_grace,
            lifecycle::no_grace_kills_at_once,
            lifecycle::stopping_what_does_not_run_succeeds,
            lifecycle::calls_dropped_halfway_can_be_repeated,
            lifecycle::concurrent_calls_are_as_good_as_one,
            lifecycle::changes_are_hinted_at,
            lifecycle::the_end_of_a_sandbox_is_hinted_at,
            ports::a_port_of_a_pod_is_reached,
            ports::where_nothing_listens_that_is_said,
            pausing::a_paused_container_stands_still_until_it_is_resumed,
            pausing::no_command_runs_in_a_paused_container,
            pausing::a_paused_container_can_be_asked_to_end,
            pausing::a_paused_container_can_be_killed_and_removed,
            pausing::only_what_runs_can_be_paused,
            pausing::a_paused_container_is_found_again_so,
            logs::both_streams_are_kept_in_order,
            logs::one_stream_can_be_read_alone,
            logs::the_last_lines_can_be_read_alone,
            logs::lines_since_a_moment_can_be_read_alone,
            logs::lines_can_show_when_they_were_written,
            logs::a_last_line_without_an_end_has_none,
            logs::long_lines_and_odd_bytes_come_back_whole,
            logs::many_lines_come_back_in_order,
            logs::following_ends_with_the_container,
            logs::following_shows_lines_as_they_are_written,
            logs::a_container_without_output_has_empty_logs,
            exec::a_command_returns_output_and_exit_code,
            exec::a_command_sees_the_containers_environment,
            exec::a_command_that_takes_too_long_is_killed,
            exec::too_much_output_is_cut_and_said_so,
            exec::a_command_needs_a_running_container,
            exec::an_open_command_reads_and_writes,
            exec::an_open_command_reports_its_exit_code,
            exec::attaching_shows_what_is_written_from_now_on,
            exec::attaching_feeds_standard_input,
            extras::terminals_are_terminals,
            extras::stats_are_of_running_containers,
            extras::traffic_is_of_a_pods_own_network,
            extras::limits_change_in_place,
            extras::a_limit_of_memory_below_the_least_is_refused,
            extras::exceeding_memory_is_out_of_memory,
            groups::containers_of_a_pod_are_held_to_what_it_may_use,
            groups::what_a_pod_may_use_changes_in_place,
            groups::a_group_is_there_as_long_as_a_sandbox_that_asks_for_it,
            groups::pages_of_a_size_that_no_kernel_has_are_refused,
            users::each_sandbox_has_users_that_no_other_has,
            users::what_a_sandbox_with_users_of_its_own_mounts_has_the_machines_owners,
            users::users_of_ones_own_go_with_neither_the_machines_network_nor_its_processes,
            refusals::a_sandbox_without_a_uid_is_refused,
            refusals::what_no_container_can_be_is_refused_by_its_field,
            refusals::what_means_no_limit_is_told_as_none,
            extras::mounts_show_files_of_the_machine,
            extras::a_user_can_be_chosen,
            extras::images_are_pulled_listed_and_removed,
            extras::what_is_not_declared_is_refused,
            adoption::running_containers_are_found_again,
            adoption::what_ended_meanwhile_kept_its_exit_code,
            adoption::logs_have_no_gap,
            adoption::an_adopted_container_can_be_stopped_and_removed,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_conformance_table {
    ($($module:ident :: $case:ident),* $(,)?) => {
        const CASES: &[(&str, CaseFn)] = &[
            $((stringify!($case), |rig| Box::pin($module::$case(rig)))),*
        ];
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __runtime_conformance_tests {
    ($harness:expr; $($module:ident :: $case:ident),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                let harness = $harness;
                $crate::testing::runtime::run_case(&harness, stringify!($case));
            }
        )*
    };
}

/// Makes a `#[test]` of each case of the [Runtime conformance suite](crate::testing::runtime).
///
/// Takes an expression that makes a [`Harness`](crate::testing::runtime::Harness); it is evaluated anew for
/// each test. The tests belong in a module of their own, as one function each.
#[macro_export]
macro_rules! runtime_conformance {
    ($harness:expr) => {
        $crate::__runtime_conformance_cases! { __runtime_conformance_tests ! $harness; }
    };
}

crate::__runtime_conformance_cases! { __runtime_conformance_table ! }
