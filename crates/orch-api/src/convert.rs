//! Objects between the version that is asked for and the one that they are stored in.

use std::borrow::Cow;

use orch_core::client::{ApiError, Client};
use orch_core::object::{ApiResource, Document, DocumentError, RawObject};

use crate::resources::{Is, Served};

impl Served {
    /// Whether objects of the version that is asked for are stored in another.
    pub(crate) fn is_converted(&self) -> bool {
        self.stored.version != self.resource.version || self.stored.group != self.resource.group
    }

    /// Whether a webhook makes objects of one version ones of another.
    pub(crate) fn has_webhook(&self) -> bool {
        self.as_custom()
            .is_some_and(|custom| custom.definition.has_conversion_webhook())
    }

    /// Makes of an object of the version that is asked for one of the version that is stored.
    pub(crate) async fn to_stored(
        &self,
        client: &Client,
        mut object: RawObject,
    ) -> Result<RawObject, ApiError> {
        match &self.is {
            Is::OtherVersion(of) => (of.to_stored)(&mut object),
            Is::Custom(custom) if self.is_converted() => {
                custom.version.convert(&mut object);
                if self.has_webhook() {
                    object = one(client, &self.stored, object).await?;
                }
                custom.definition.stored().convert(&mut object);
            }
            _ => {}
        }
        Ok(object)
    }

    /// The same of a part of an object that is to be applied: nothing is filled in, and what there is too much is found out later.
    ///
    /// # Errors
    ///
    /// What a webhook makes of half an object nobody knows: it is to be applied in the version that is stored.
    pub(crate) fn part_to_stored(&self, part: &mut RawObject) -> Result<(), ApiError> {
        let stored = self.stored.api_version();
        match &self.is {
            Is::OtherVersion(of) => (of.to_stored)(part),
            _ if self.has_webhook() && self.is_converted() => {
                return Err(ApiError::BadRequest(format!(
                    "apiVersion: {:?}: {} are stored as {stored}, which a webhook makes of them; apply them as {stored}",
                    self.resource.api_version(),
                    self.resource.group_resource(),
                )));
            }
            _ => {
                part.insert("apiVersion".to_owned(), stored.into());
            }
        }
        Ok(())
    }

    /// Makes of a stored object one of the version that is asked for.
    pub(crate) async fn to_version(
        &self,
        client: &Client,
        mut object: RawObject,
    ) -> Result<RawObject, ApiError> {
        if self.has_webhook() {
            object = one(client, &self.resource, object).await?;
        }
        self.to_version_here(&mut object);
        Ok(object)
    }

    /// Puts stored objects into the version that is asked for where a webhook does that, which is asked once for all of them. All others
    /// are made so as they are [shown](Self::shown).
    pub(crate) async fn bring<'d>(
        &self,
        client: &Client,
        documents: impl Iterator<Item = &'d mut Document> + Send,
    ) -> Result<(), ApiError> {
        if !self.has_webhook() {
            return Ok(());
        }
        let version = self.resource.api_version();
        let mut others: Vec<_> = documents
            .filter(|document| document.api_version() != version)
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        let objects = others.iter().map(|document| document.to_raw());
        let objects = objects.collect::<Result<Vec<_>, _>>().map_err(undecoded)?;
        let objects = client.backend().convert(&self.resource, objects).await?;
        for (document, object) in others.iter_mut().zip(objects) {
            **document = read(&object, document)?;
        }
        Ok(())
    }

    /// A stored object in the version that is asked for, to which a webhook has [brought](Self::bring) it if one must.
    pub(crate) fn shown<'d>(&self, document: &'d Document) -> Cow<'d, Document> {
        let is_as_stored = match &self.is {
            Is::OtherVersion(_) => false,
            // Earlier generations left out what this one fills in.
            Is::Custom(custom) => {
                custom.definition.is_first_generation && document.api_version() == self.resource.api_version()
            }
            _ => true,
        };
        if is_as_stored {
            return Cow::Borrowed(document);
        }
        let shown = document.to_raw().ok().and_then(|mut object| {
            self.to_version_here(&mut object);
            read(&object, document).ok()
        });
        // It was read a moment ago.
        shown.map_or(Cow::Borrowed(document), Cow::Owned)
    }

    /// Changes what takes no webhook.
    fn to_version_here(&self, object: &mut RawObject) {
        match &self.is {
            Is::OtherVersion(of) => (of.from_stored)(object),
            Is::Custom(custom) => custom.version.convert(object),
            _ => {}
        }
    }
}

async fn one(client: &Client, resource: &ApiResource, object: RawObject) -> Result<RawObject, ApiError> {
    let mut converted = client.backend().convert(resource, vec![object]).await?;
    Ok(converted.pop().unwrap_or_default())
}

/// What was made of a document, as one of the same revision.
fn read(object: &RawObject, of: &Document) -> Result<Document, ApiError> {
    let json = serde_json::to_vec(object).map_err(|error| undecoded(error.into()))?;
    Document::from_stored(json.into(), of.revision()).map_err(undecoded)
}

fn undecoded(error: DocumentError) -> ApiError {
    ApiError::Denied {
        code: 500,
        reason: "InternalError".to_owned(),
        message: format!("the converted object cannot be read: {error}"),
    }
}
