//! A pod that wants other resources than its containers have: whether there is room for it, and what came of it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use orch_core::runtime::{ContainerId, RuntimeError};

use super::Worker;
use crate::agent::observed::Failure;
use crate::agent::ops::in_words_of_pods;
use crate::agent::qos::asked;
use crate::agent::resize::{self, Wait};
use crate::events::reference;

impl Worker {
    /// Takes the room that the pod's containers have, whose it is already.
    pub(super) fn enter_room(&mut self) {
        self.observed.note_given(&self.pod, &self.stored);
        let amounts = asked(&resize::as_given(&self.pod, &self.observed));
        if amounts != [0, 0] {
            self.shared.room.enter(&self.uid, amounts);
        }
    }

    /// Asks for room if the pod wants other resources than its containers have, and says if they have to wait.
    pub(super) fn ask_for_room(&mut self, now: Timestamp) {
        let status = self.sent.as_ref().unwrap_or(&self.stored);
        self.observed.note_given(&self.pod, status);
        let before = self.observed.wait.take();
        let view = self.view(now);
        let changes = resize::changed(&view);
        let is_in_place = changes.iter().any(|change| !change.needs_restart(&view));
        if changes.is_empty() {
            self.observed.resize_failure = None;
            return;
        }
        let empty = PodSpec::default();
        let wanted = asked(self.pod.spec.as_ref().unwrap_or(&empty));
        // What is given back from now on is seen.
        self.freed.mark_unchanged();
        let wait = if is_in_place && !self.shared.capabilities.update_resources {
            Some(Wait {
                reason: "Infeasible",
                message: format!(
                    "the {} runtime cannot change what a container may use while it runs: set resizePolicy to RestartContainer, \
                     or make the pod anew",
                    self.shared.runtime.name()
                ),
            })
        } else {
            self.shared.room.ask(&self.uid, wanted).err()
        };
        if let Some(wait) = wait.as_ref().filter(|wait| before.as_ref() != Some(wait)) {
            let event = match wait.reason {
                "Deferred" => "ResizeDeferred",
                _ => "ResizeInfeasible",
            };
            let recorder = &self.shared.recorder;
            recorder.warning(&reference(&*self.pod), event, wait.message.as_str());
        }
        self.observed.wait = wait;
    }

    /// Whether room that others give back is waited for.
    pub(super) fn waits_for_room(&self) -> bool {
        let wait = self.observed.wait.as_ref();
        wait.is_some_and(|wait| wait.reason == "Deferred")
    }

    pub(super) fn resized(
        &mut self,
        given: Vec<(ContainerId, ResourceRequirements)>,
        result: Result<(), RuntimeError>,
        now: Timestamp,
    ) {
        self.observed.busy.resize = false;
        self.observed.given.extend(given);
        let recorder = &self.shared.recorder;
        let about = reference(&*self.pod);
        let error = match result {
            Ok(()) => {
                self.observed.resize_failure = None;
                recorder.normal(&about, "ResizeCompleted", "Pod resize completed");
                return;
            }
            // It ended meanwhile; its successor is made with what the pod says.
            Err(RuntimeError::NotRunning { .. } | RuntimeError::NotFound { .. }) => {
                self.needs_list = true;
                return;
            }
            Err(error) => error,
        };
        let before = self.observed.resize_failure.as_ref();
        let before = before.map(|failure| failure.delay).unwrap_or_default();
        let message = in_words_of_pods(&error).to_string();
        recorder.warning(&about, "ResizeError", message.as_str());
        self.observed.resize_failure = Some(Failure {
            reason: "Error",
            message,
            at: now,
            delay: self.shared.config.retry_backoff.next(before),
            image: String::new(),
        });
    }
}
