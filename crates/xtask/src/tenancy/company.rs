//! A tenant with people and machines, made by the operator and then used over REST.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::client::{Client, text};
use crate::chance::secret_hex;

/// Somebody with a password.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// The address to log in with.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
}

impl Person {
    /// Somebody new.
    pub(crate) fn invent(name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            email: format!("{name}-{}@tenancy.example", secret_hex(4)?),
            password: secret_hex(16)?,
        })
    }

    /// Logs in at the client's node.
    pub(crate) fn log_in(&self, client: &mut Client) -> anyhow::Result<Tokens> {
        client.bear("");
        let body = json!({ "email": self.email, "password": self.password });
        Tokens::read(&client.expect(200, "POST", "/v1/auth/login", Some(&body))?)
    }
}

/// The pair of tokens of a session.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    /// To be sent.
    pub(crate) access: String,
    /// To be exchanged, once.
    pub(crate) refresh: String,
}

impl Tokens {
    /// From the answer to a login or a refresh.
    pub(crate) fn read(answer: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            access: text(answer, "access_token")?,
            refresh: text(answer, "refresh_token")?,
        })
    }

    /// The body that exchanges or ends them.
    pub(crate) fn refresh_body(&self) -> Value {
        json!({ "refresh_token": self.refresh })
    }
}

/// An API key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// Its id.
    pub(crate) id: String,
    /// What the machine sends.
    pub(crate) token: String,
}

/// A tenant with its owner and one application.
#[derive(Debug, Clone)]
pub(crate) struct Company {
    /// The tenant's id.
    pub(crate) id: String,
    /// Its first owner.
    pub(crate) owner: Person,
    /// The owner's first session.
    pub(crate) session: Tokens,
    /// The application's id.
    pub(crate) application: String,
}

impl Company {
    /// Makes it: the operator the tenant, its owner the rest.
    pub(crate) fn found(name: &str, operator: &mut Client, node: SocketAddr) -> anyhow::Result<Self> {
        let owner = Person::invent("owner")?;
        let tenant = operator.create(
            "/v1/operator/tenants",
            &json!({
                "name": name,
                "owner": { "email": owner.email, "name": "Ada", "password": owner.password },
            }),
        )?;
        let mut client = Client::new(node, "");
        let session = owner.log_in(&mut client)?;
        client.bear(&session.access);
        let application = client.create("/v1/applications", &json!({ "name": "Customer" }))?;
        Ok(Self {
            id: text(&tenant, "id")?,
            owner,
            session,
            application: text(&application, "id")?,
        })
    }

    /// The owner, at that node.
    pub(crate) fn owner_at(&self, node: SocketAddr) -> Client {
        Client::new(node, &self.session.access)
    }

    /// The application's path, and what follows it.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/v1/applications/{}{rest}", self.application)
    }

    /// Makes an endpoint that is signed for with this secret and hears of these event types, of all if there are
    /// none; its id.
    pub(crate) fn endpoint(
        &self,
        client: &mut Client,
        url: &str,
        secret: &str,
        event_types: &[&str],
    ) -> anyhow::Result<String> {
        let body = json!({ "url": url, "secret": secret, "event_types": event_types });
        text(&client.create(&self.path("/endpoints"), &body)?, "id")
    }
}

/// Mints a key of this role in the client's tenant.
pub(crate) fn mint_key(client: &mut Client, role: &str) -> anyhow::Result<Key> {
    let body = json!({ "name": "a machine", "grants": [{ "role": role }] });
    let key = client.create("/v1/api-keys", &body)?;
    Ok(Key {
        id: text(&key, "id")?,
        token: text(&key, "token")?,
    })
}

/// Invites somebody to the client's tenant; the token.
pub(crate) fn invite(client: &mut Client, email: &str, role: &str) -> anyhow::Result<String> {
    let body = json!({ "email": email, "grants": [{ "role": role }] });
    text(&client.create("/v1/invitations", &body)?, "token")
}

/// Invites somebody new, who accepts and logs in: who, the membership's id and the tokens.
pub(crate) fn hire(
    client: &mut Client,
    role: &str,
    at: SocketAddr,
) -> anyhow::Result<(Person, String, Tokens)> {
    let person = Person::invent(role)?;
    let token = invite(client, &person.email, role)?;
    let mut guest = Client::new(at, "");
    let body = json!({ "token": token, "password": person.password, "name": "Bob" });
    let accepted = guest.create("/v1/invitations/accept", &body)?;
    let tokens = person.log_in(&mut guest)?;
    Ok((person, text(&accepted, "member")?, tokens))
}
