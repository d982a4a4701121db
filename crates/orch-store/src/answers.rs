//! Answers to those of a group, given once what they rest on is durable.

use orch_core::store::{CommitError, Committed, ReadError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::Fault;
use crate::queue::Request;

/// Who waits, and for which answer.
type Answer<T> = (oneshot::Sender<T>, T);

#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) commits: Vec<Answer<Result<Committed, CommitError>>>,
    pub(crate) compactions: Vec<Answer<Result<(), ReadError>>>,
    /// Kept until then, so that the line stays bounded.
    permit: Option<OwnedSemaphorePermit>,
}

impl Answers {
    /// Takes the place in line of one who waits, until all are answered.
    pub(crate) fn hold(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
    }

    /// Notes the requests of a group that is refused because of `fault`.
    pub(crate) fn refuse(&mut self, group: Vec<(Request, OwnedSemaphorePermit)>, fault: &Fault) {
        for (request, permit) in group {
            self.hold(permit);
            match request {
                Request::Commit { reply, .. } => {
                    self.commits
                        .push((reply, Err(CommitError::Unavailable(Box::new(fault.clone())))));
                }
                Request::Compact { reply, .. } => {
                    self.compactions
                        .push((reply, Err(ReadError::Unavailable(Box::new(fault.clone())))));
                }
            }
        }
    }

    /// Replaces every answer: none of the group can be relied on.
    pub(crate) fn fail(&mut self, error: impl Fn() -> CommitError, fault: &Fault) {
        for (_, answer) in &mut self.commits {
            *answer = Err(error());
        }
        for (_, answer) in &mut self.compactions {
            *answer = Err(ReadError::Unavailable(Box::new(fault.clone())));
        }
    }

    /// Tells everybody. A caller who has left needs no answer.
    pub(crate) fn give(self) {
        for (reply, answer) in self.commits {
            let _ = reply.send(answer);
        }
        for (reply, answer) in self.compactions {
            let _ = reply.send(answer);
        }
    }
}
