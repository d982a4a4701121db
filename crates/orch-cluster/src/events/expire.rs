//! Lets old events go.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use orch_core::client::{ApiError, Client, DeleteParams, ListParams};
use orch_core::time;

/// Deletes events whose news is older than `keep` (Kubernetes keeps them an hour). Returns how many.
pub async fn expire_events(client: &Client, keep: Duration) -> Result<usize, ApiError> {
    const PAGE: usize = 500;
    let oldest = time::now().checked_sub(keep).unwrap_or(Timestamp::MIN);
    let mut params = ListParams::default().limit(PAGE);
    let mut expired = BTreeSet::new();
    loop {
        let page = client.all::<Event>().list(&params).await?;
        expired.extend(
            page.items
                .into_iter()
                .filter(|event| last_said(event) < oldest)
                .map(|event| {
                    (
                        event.metadata.namespace.unwrap_or_default(),
                        event.metadata.name.unwrap_or_default(),
                    )
                }),
        );
        match page.continue_token {
            Some(token) => params.continue_token = Some(token),
            None => break,
        }
    }
    for (namespace, name) in &expired {
        match client
            .api::<Event>(namespace)
            .delete(name, &DeleteParams::default())
            .await
        {
            Ok(_) | Err(ApiError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(expired.len())
}

fn last_said(event: &Event) -> Timestamp {
    let last = event
        .last_timestamp
        .as_ref()
        .or(event.metadata.creation_timestamp.as_ref());
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|at| at.0);
    let new_form = event.event_time.as_ref().map(|at| at.0);
    series
        .or(last.map(|at| at.0))
        .or(new_form)
        .unwrap_or(Timestamp::MAX)
}
