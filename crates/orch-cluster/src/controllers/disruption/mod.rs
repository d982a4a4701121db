//! Keeps the status of PodDisruptionBudgets, by which evictions go (Kubernetes' `pkg/controller/disruption`).

mod reconcile;
mod scale;
mod status;
#[cfg(test)]
mod tests;

pub(crate) use reconcile::start;
