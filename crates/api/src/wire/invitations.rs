use postrider_application::{
    Error,
    invitations::{AcceptInvitation, AcceptedInvitation, Invite, Invited as Issued},
    ports::InvitationView,
};
use postrider_domain::{Name, tokens::InvitationToken, users::Email};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::{
    Body, Checks, Object,
    grants::{self, Grant, NewGrant},
    time,
};

/// A person to be invited.
// No `Debug`: it holds an address.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"email": "grace@example.com", "grants": [{"role": "developer"}]})))]
pub(crate) struct NewInvitation {
    /// The person's address.
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// What they will hold: nothing that you may not do yourself.
    #[schema(value_type = Vec<NewGrant>, min_items = 1, max_items = 100)]
    grants: Vec<Object<NewGrant>>,
}

impl Body for NewInvitation {}

impl NewInvitation {
    /// The command.
    pub(crate) fn into_command(self) -> Result<Invite, Error> {
        let mut checks = Checks::of(&self);
        let email = checks.check("email", Email::parse(&self.email));
        let grants = grants::requests(&mut checks, self.grants);
        let (email, grants) = checks.all((email, grants))?;
        Ok(Invite { email, grants })
    }
}

/// An invitation that was issued.
// No `Debug`: it holds the token.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invited {
    /// The invitation.
    #[schema(examples("inv_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Hand it to the person: nobody sends it for you. Shown this once.
    #[schema(examples("pri_01jd8x3v9ce2sbm4w8f1q7k5zt_<52 characters>"))]
    token: String,
    /// Until when it can be accepted.
    #[schema(format = "date-time", examples("2026-11-29T18:00:00.000000Z"))]
    expires_at: String,
}

impl From<Issued> for Invited {
    fn from(issued: Issued) -> Self {
        Self {
            id: issued.id.to_string(),
            token: issued.token.reveal(),
            expires_at: time::show(issued.expires_at),
        }
    }
}

/// A pending invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitation {
    /// Its id.
    #[schema(examples("inv_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    id: String,
    /// Who is invited.
    #[schema(format = "email", examples("grace@example.com"))]
    email: String,
    /// What they will hold.
    grants: Vec<Grant>,
    /// The id of who invited.
    #[schema(examples("usr_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    invited_by: String,
    /// When.
    #[schema(format = "date-time", examples("2026-11-22T18:00:00.000000Z"))]
    created_at: String,
    /// Until when it can be accepted.
    #[schema(format = "date-time", examples("2026-11-29T18:00:00.000000Z"))]
    expires_at: String,
}

impl From<InvitationView> for Invitation {
    fn from(invitation: InvitationView) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.as_str().to_owned(),
            grants: grants::show(&invitation.grants),
            invited_by: invitation.invited_by,
            created_at: time::show(invitation.created_at),
            expires_at: time::show(invitation.expires_at),
        }
    }
}

/// An invitation to be accepted.
// No `Debug`: it holds a password.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "token": "pri_01jd8x3v9ce2sbm4w8f1q7k5zt_0000000000000000000000000000000000000000000000000000",
    "password": "correct horse battery staple",
    "name": "Grace"
})))]
pub(crate) struct Acceptance {
    /// The invitation's token.
    #[schema(format = "password", max_length = 256)]
    token: String,
    /// The password to log in with; whoever is known to this installation proves theirs.
    #[schema(format = "password", min_length = 12, max_length = 1024)]
    password: String,
    /// Display name; used only for whoever is new here, and asked for all the same.
    #[schema(min_length = 1, max_length = 120)]
    name: String,
}

impl Body for Acceptance {
    const IS_PUBLIC: bool = true;
}

impl Acceptance {
    /// The command.
    pub(crate) fn into_command(self) -> Result<AcceptInvitation, Error> {
        let mut checks = Checks::of(&self);
        let token = checks.check("token", InvitationToken::parse(&self.token));
        let name = checks.check("name", Name::parse(&self.name));
        let (token, name) = checks.all((token, name))?;
        Ok(AcceptInvitation {
            token,
            password: SecretString::from(self.password),
            name,
        })
    }
}

/// What came of an invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Joined {
    /// The tenant.
    #[schema(examples("ten_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    tenant: String,
    /// The person's place in it.
    #[schema(examples("mem_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    member: String,
    /// The person.
    #[schema(examples("usr_01jd8x3v9ce2sbm4w8f1q7k5zt"))]
    user: String,
}

impl From<AcceptedInvitation> for Joined {
    fn from(accepted: AcceptedInvitation) -> Self {
        Self {
            tenant: accepted.tenant.to_string(),
            member: accepted.member.to_string(),
            user: accepted.user.to_string(),
        }
    }
}
