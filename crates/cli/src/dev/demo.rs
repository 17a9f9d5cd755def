//! The demo tenant: made at first start with random credentials, found again at the next.

use std::{fs, io, io::Write as _, path::Path};

use postrider_api::App;
use postrider_application::{access::Caller, ports::Randomness, tenants::CreateTenant};
use postrider_domain::{Name, endpoints::SigningSecret, users::Email};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    DevError,
    client::{ApiClient, ClientError},
    shop,
};

/// The uid of the demo application.
pub(crate) const APPLICATION: &str = "fjord-and-fern";
const STATE_FILE: &str = "demo.json";

/// What `dev` remembers between starts; readable by its owner only.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct DemoState {
    owner_email: String,
    owner_password: String,
    /// The endpoint of the last start; another port of the receiver makes another endpoint.
    endpoint_uid: Option<String>,
}

/// Everything that the ride needs.
pub(crate) struct Demo {
    /// The API, as a machine of the demo tenant.
    pub(crate) api: ApiClient,
    /// That machine's key, to be shown.
    pub(crate) api_key: String,
    /// What the demo endpoint's webhooks are signed with.
    pub(crate) secret: SigningSecret,
}

/// Makes sure that the demo tenant, its application, event types and endpoint exist.
pub(crate) async fn prepare(
    app: &App,
    randomness: &dyn Randomness,
    directory: &Path,
    api_url: &str,
    receiver_url: &str,
) -> Result<Demo, DevError> {
    let api = ApiClient::new(api_url.to_owned());
    let (mut state, token) = owner(app, &api, randomness, directory).await?;
    let owner = api.with_bearer(token);

    ensure(
        owner
            .post(
                "/v1/applications",
                &json!({ "uid": APPLICATION, "name": "Fjord & Fern" }),
            )
            .await,
    )?;
    for (name, description) in shop::EVENT_TYPES {
        ensure(
            owner
                .post(
                    "/v1/event-types",
                    &json!({ "name": name, "description": description }),
                )
                .await,
        )?;
    }
    let secret = ensure_endpoint(&owner, receiver_url, &mut state, directory).await?;
    let key = json!({ "name": "postrider dev", "grants": [{ "role": "developer" }] });
    let api_key = text(&owner.post("/v1/api-keys", &key).await?, "token")?;
    Ok(Demo {
        api: api.with_bearer(api_key.clone()),
        api_key,
        secret,
    })
}

/// The owner of the demo tenant, logged in.
async fn owner(
    app: &App,
    api: &ApiClient,
    randomness: &dyn Randomness,
    directory: &Path,
) -> Result<(DemoState, String), DevError> {
    if let Some(state) = load(directory)? {
        let token = match log_in(api, &state).await {
            // The start that wrote them down ended before it made the tenant.
            Err(DevError::Client(refused)) if refused.status() == Some(401) => {
                let made = create_tenant(app, &state).await;
                // Or somebody has changed the password: they are known then.
                made.map_err(|_| refused)?;
                log_in(api, &state).await?
            }
            outcome => outcome?,
        };
        return Ok((state, token));
    }
    let state = DemoState {
        owner_email: format!("owner-{}@demo.example", hex::encode(randomness.bytes::<4>())),
        owner_password: hex::encode(randomness.bytes::<16>()),
        endpoint_uid: None,
    };
    // First of all: a tenant whose password is lost would be of no use.
    save(directory, &state)?;
    create_tenant(app, &state).await?;
    let token = log_in(api, &state).await?;
    Ok((state, token))
}

async fn log_in(api: &ApiClient, state: &DemoState) -> Result<String, DevError> {
    let login = json!({ "email": state.owner_email, "password": state.owner_password });
    text(&api.post("/v1/auth/login", &login).await?, "access_token")
}

/// "It exists already" is what we want.
fn ensure(result: Result<serde_json::Value, ClientError>) -> Result<(), ClientError> {
    match result {
        Err(error) if error.status() != Some(409) => Err(error),
        _ => Ok(()),
    }
}

async fn ensure_endpoint(
    owner: &ApiClient,
    receiver_url: &str,
    state: &mut DemoState,
    directory: &Path,
) -> Result<SigningSecret, DevError> {
    let port = receiver_url.rsplit(':').next().unwrap_or_default();
    let uid = format!("receiver-{port}");
    let path = format!("/v1/applications/{APPLICATION}/endpoints");
    if let Some(old) = state.endpoint_uid.take().filter(|old| *old != uid) {
        // Nobody listens on the old port any more.
        let disable = format!("{path}/{old}/disable");
        match owner.post(&disable, &serde_json::Value::Null).await {
            // It was deleted, or its application was.
            Err(gone) if gone.status() == Some(404) => {}
            outcome => drop(outcome?),
        }
    }
    let endpoint =
        json!({ "uid": uid, "url": format!("{receiver_url}/webhooks"), "description": "postrider dev" });
    ensure(owner.post(&path, &endpoint).await)?;
    // It may have been disabled by an earlier start on another port.
    owner
        .post(&format!("{path}/{uid}/enable"), &serde_json::Value::Null)
        .await?;
    state.endpoint_uid = Some(uid.clone());
    save(directory, state)?;
    let secret = text(&owner.get(&format!("{path}/{uid}/secret")).await?, "secret")?;
    SigningSecret::parse(&secret).map_err(|_| DevError::UnexpectedAnswer("secret"))
}

async fn create_tenant(app: &App, state: &DemoState) -> Result<(), DevError> {
    let valid = |_| DevError::UnexpectedAnswer("demo tenant");
    let request = CreateTenant {
        name: Name::parse("Fjord & Fern").map_err(valid)?,
        owner_email: Email::parse(&state.owner_email).map_err(valid)?,
        owner_name: Name::parse("Demo Owner").map_err(valid)?,
        owner_password: state.owner_password.clone().into(),
        owner_may_be_known: false,
    };
    app.send(&Caller::operator("dev"), request).await?;
    Ok(())
}

fn load(directory: &Path) -> Result<Option<DemoState>, DevError> {
    match fs::read(directory.join(STATE_FILE)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| DevError::BrokenState),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn save(directory: &Path, state: &DemoState) -> Result<(), DevError> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(
        serde_json::to_string_pretty(state)
            .map_err(io::Error::from)?
            .as_bytes(),
    )?;
    // Temporary files are readable by their owner only; renaming replaces the old state whole.
    file.persist(directory.join(STATE_FILE))
        .map_err(|error| error.error)?;
    Ok(())
}

/// A text of an answer of our own API.
fn text(answer: &serde_json::Value, field: &'static str) -> Result<String, DevError> {
    answer[field]
        .as_str()
        .map(str::to_owned)
        .ok_or(DevError::UnexpectedAnswer(field))
}
