use std::collections::BTreeMap;

use postrider_application::{
    Error, IfMatch,
    applications::{CreateApplication, PatchApplication, PutApplication},
};
use postrider_domain::{Metadata, Name, Uid, applications::ApplicationState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{Body, Checks, metadata, patch::Patched, path::ApplicationPath, time};

/// An application to be created.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "Customer 42", "uid": "customer-42", "metadata": {"plan": "gold"}})))]
pub(crate) struct NewApplication {
    /// Display name.
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    /// Your own name for it, usable wherever its id is.
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    uid: Option<String>,
    /// Your notes: at most 50 pairs, keys of 1 to 64 and values of at most 500 characters.
    metadata: Option<BTreeMap<String, String>>,
}

impl Body for NewApplication {}

impl NewApplication {
    /// The command.
    pub(crate) fn into_command(self) -> Result<CreateApplication, Error> {
        let mut checks = Checks::of(&self);
        let name = checks.check("name", Name::parse(&self.name));
        let uid = checks.optional("uid", self.uid.as_deref(), Uid::parse);
        let metadata = checks.check("metadata", Metadata::parse(self.metadata.unwrap_or_default()));
        let (name, uid, metadata) = checks.all((name, uid, metadata))?;
        Ok(CreateApplication { uid, name, metadata })
    }
}

/// All that may be said of an application but its uid, which stands in the path; what is absent goes.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "Customer 42", "metadata": {"plan": "gold"}})))]
pub(crate) struct ApplicationContent {
    /// Display name.
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    /// Your notes: at most 50 pairs, keys of 1 to 64 and values of at most 500 characters.
    metadata: Option<BTreeMap<String, String>>,
}

impl Body for ApplicationContent {}

impl ApplicationContent {
    /// The command.
    pub(crate) fn into_command(
        self,
        path: &ApplicationPath,
        if_match: IfMatch,
    ) -> Result<PutApplication, Error> {
        let mut checks = Checks::of(&self);
        let application = path.application(&mut checks);
        let name = checks.check("name", Name::parse(&self.name));
        let metadata = checks.check("metadata", Metadata::parse(self.metadata.unwrap_or_default()));
        let (application, name, metadata) = checks.all((application, name, metadata))?;
        Ok(PutApplication {
            application,
            name,
            metadata,
            if_match,
        })
    }
}

/// What changes of an application, as a JSON Merge Patch (RFC 7396): what is absent stays, null clears.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "Customer 42 (EU)", "metadata": {"plan": "silver", "trial": null}})))]
pub(crate) struct ApplicationPatch {
    /// Display name; not null.
    #[serde(default)]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 120)]
    name: Patched<String>,
    /// Your own name for it.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._:-]+$")]
    uid: Patched<String>,
    /// Merged by key: null removes a note.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>)]
    metadata: Patched<BTreeMap<String, Option<String>>>,
}

impl Body for ApplicationPatch {}

impl ApplicationPatch {
    /// The command.
    pub(crate) fn into_command(
        self,
        path: &ApplicationPath,
        if_match: IfMatch,
    ) -> Result<PatchApplication, Error> {
        let mut checks = Checks::of(&self);
        let application = path.application(&mut checks);
        let name = self.name.not_null("name", &mut checks, |text| Name::parse(&text));
        let uid = self.uid.parsed("uid", &mut checks, |text| Uid::parse(&text));
        let metadata = metadata::patched(&mut checks, self.metadata);
        let (application, name, uid, metadata) = checks.all((application, name, uid, metadata))?;
        Ok(PatchApplication {
            application,
            uid,
            name,
            metadata,
            if_match,
        })
    }
}

/// One of your customers: it owns endpoints and receives messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct Application {
    /// Its id.
    #[schema(examples("app_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Your own name for it.
    #[schema(required, examples("customer-42"))]
    uid: Option<String>,
    /// Display name.
    #[schema(examples("Customer 42"))]
    name: String,
    /// Your notes.
    metadata: BTreeMap<String, String>,
    /// When it was created.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
}

impl From<ApplicationState> for Application {
    fn from(state: ApplicationState) -> Self {
        Self {
            id: state.id.to_string(),
            uid: state.uid.map(|uid| uid.as_str().to_owned()),
            name: state.name.as_str().to_owned(),
            metadata: state.metadata.pairs().clone(),
            created_at: time::show(state.created_at),
        }
    }
}
