use postrider_application::{Error, members::ChangeGrants, ports::MemberView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{
    Body, Checks, Object,
    grants::{self, Grant, NewGrant},
    path::MemberPath,
    time,
};

/// A person's place in the tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Member {
    /// The membership.
    #[schema(examples("mem_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// The person.
    #[schema(examples("usr_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    user: String,
    /// Their address.
    #[schema(format = "email", examples("ada@example.com"))]
    email: String,
    /// Their name.
    #[schema(examples("Ada"))]
    name: String,
    /// What they may do.
    grants: Vec<Grant>,
    /// When they joined.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
}

impl From<MemberView> for Member {
    fn from(member: MemberView) -> Self {
        Self {
            id: member.id.to_string(),
            user: member.user.to_string(),
            email: member.email.as_str().to_owned(),
            name: member.name.as_str().to_owned(),
            grants: grants::show(&member.grants),
            created_at: time::show(member.created_at),
        }
    }
}

/// What a member may do from now on.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"grants": [{"role": "developer"}]})))]
pub(crate) struct NewGrants {
    /// Instead of what they held: nothing that you may not do yourself.
    #[schema(value_type = Vec<NewGrant>, min_items = 1, max_items = 100)]
    grants: Vec<Object<NewGrant>>,
}

impl Body for NewGrants {}

impl NewGrants {
    /// The command.
    pub(crate) fn into_command(self, path: &MemberPath) -> Result<ChangeGrants, Error> {
        let mut checks = Checks::of(&self);
        let member = path.member(&mut checks);
        let grants = grants::requests(&mut checks, self.grants);
        let (member, grants) = checks.all((member, grants))?;
        Ok(ChangeGrants { member, grants })
    }
}
