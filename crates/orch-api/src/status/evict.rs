//! Refusals of evictions: most mean that it is tried again, as `kubectl drain` does.

use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails};
use orch_cluster::disruption::EvictError;

use super::Refused;

/// After how many seconds what is not known yet may be known.
const SOON: i32 = 10;

impl From<EvictError> for Refused {
    fn from(error: EvictError) -> Self {
        let message = error.to_string();
        match error {
            EvictError::Exhausted {
                budget,
                desired_healthy: desired,
                current_healthy: current,
            } => {
                let cause = format!(
                    "The disruption budget {budget} needs {desired} healthy pods and has {current} currently"
                );
                too_many(message, cause, None)
            }
            EvictError::Processing { budget } => {
                let cause = format!("The disruption budget {budget} is still being processed by the server.");
                too_many(message, cause, Some(SOON))
            }
            EvictError::Forbidden { budget, .. } => {
                let mut refused = Self::new(StatusCode::FORBIDDEN, "Forbidden", message);
                refused.details = Some(Box::new(StatusDetails {
                    name: Some(budget),
                    group: Some("policy".to_owned()),
                    kind: Some("poddisruptionbudget".to_owned()),
                    ..StatusDetails::default()
                }));
                refused
            }
            EvictError::Busy { .. } => {
                let message = format!("Timeout: {message}");
                let mut refused = Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message);
                refused.details = Some(Box::new(StatusDetails {
                    retry_after_seconds: Some(SOON),
                    ..StatusDetails::default()
                }));
                refused
            }
            EvictError::Api(error) => error.into(),
            // More budgets than one, and what is not known here yet.
            _ => Self::internal(message),
        }
    }
}

fn too_many(message: String, cause: String, retry_after_seconds: Option<i32>) -> Refused {
    let mut refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
    refused.details = Some(Box::new(StatusDetails {
        causes: Some(vec![StatusCause {
            field: None,
            message: Some(cause),
            reason: Some("DisruptionBudget".to_owned()),
        }]),
        retry_after_seconds,
        ..StatusDetails::default()
    }));
    refused
}
