//! Asks one webhook.

use orch_core::client::{ApiError, Client};

use super::caller::{ANSWER_MAX, Call, Caller};
use super::question::Question;
use super::review::{self, Answer, Verdict};
use super::webhook::Webhook;

/// Why a write may not go on, or why that is not known.
pub(super) enum Failure {
    /// The webhook refuses it, or may not be asked about it.
    Refused(ApiError),
    /// The webhook has not answered.
    Calling(String),
}

/// Asks a mutating webhook.
pub(super) async fn mutating(
    caller: &dyn Caller,
    webhook: &Webhook,
    question: &Question<'_>,
    uid: String,
    client: &Client,
) -> Result<Answer, Failure> {
    ask(caller, webhook, question, uid, client, true).await
}

/// Asks a validating webhook; what it warns of.
pub(super) async fn validating(
    caller: &dyn Caller,
    webhook: &Webhook,
    question: &Question<'_>,
    uid: String,
    client: &Client,
) -> Result<Vec<String>, Failure> {
    let answer = ask(caller, webhook, question, uid, client, false).await?;
    Ok(answer.warnings)
}

async fn ask(
    caller: &dyn Caller,
    webhook: &Webhook,
    question: &Question<'_>,
    uid: String,
    client: &Client,
    is_mutating: bool,
) -> Result<Answer, Failure> {
    let name = webhook.name();
    if question.dry_run && !webhook.takes_dry_runs() {
        let reason = format!("admission webhook {name:?} does not support dry run");
        return Err(Failure::Refused(ApiError::BadRequest(reason)));
    }
    let Some(version) = webhook.review() else {
        let why = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
        return Err(Failure::Calling(why.to_owned()));
    };
    let review = review::write(version, question, &uid)
        .map_err(|error| Failure::Calling(format!("could not create admission objects: {error}")))?;
    let call = Call {
        endpoint: webhook.endpoint(),
        review,
        timeout: webhook.timeout(),
        client,
    };
    let (url, timeout) = (call.url(), call.timeout);
    let failed = |why: &dyn std::fmt::Display| {
        Failure::Calling(format!("failed to call webhook: Post {url:?}: {why}"))
    };
    let answer = match tokio::time::timeout(timeout, caller.call(call)).await {
        Ok(answer) => answer.map_err(|error| failed(&error))?,
        Err(_) => return Err(failed(&"context deadline exceeded")),
    };
    if answer.len() > ANSWER_MAX {
        return Err(failed(&format_args!(
            "the answer has {} bytes, at most {ANSWER_MAX} are read",
            answer.len()
        )));
    }
    match review::read(&answer, version, &uid, is_mutating, name).map_err(Failure::Calling)? {
        Verdict::Allowed(answer) => Ok(answer),
        Verdict::Denied(error) => Err(Failure::Refused(error)),
    }
}
