//! Tells who configures webhooks that nobody asks them.

use async_trait::async_trait;
use orch_core::client::{Admission, AdmissionRequest, Operation, Refusal};
use orch_core::object::ApiResource;

use crate::admission::GROUP;

/// For programs that reach no webhooks: whoever configures one is warned that it is not asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unasked;

#[async_trait]
impl Admission for Unasked {
    fn name(&self) -> &str {
        "Unasked"
    }

    fn handles(&self, resource: &ApiResource, operation: Operation) -> bool {
        let is_configuration = matches!(
            (&*resource.group, &*resource.kind),
            (
                GROUP,
                "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration"
            ) | ("apiextensions.k8s.io", "CustomResourceDefinition")
        );
        operation == Operation::Create && is_configuration
    }

    async fn mutate(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Refusal> {
        let kind = &request.resource.kind;
        let spec = request.object.get("spec");
        if kind == "CustomResourceDefinition"
            && spec.is_none_or(|spec| spec["conversion"]["strategy"] != "Webhook")
        {
            return Ok(());
        }
        request.warnings.add(format!(
            "{kind} is stored, but its webhooks are not asked in this cluster"
        ));
        Ok(())
    }
}
