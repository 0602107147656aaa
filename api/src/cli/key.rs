//! `avance key`: API keys of an organization.

use billing::keys::{self, ApiKey, NewKey, Scope};
use billing::{Applied, Caller, Page};
use billing_primitives::{ApiKeyId, Timestamp};
use clap::Subcommand;
use serde_json::json;

use super::Failure;
use super::output::{Output, Table};
use super::session::{OrganizationFlag, with_billing};
use crate::config::Config;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key and print its secret, this once
    Create {
        #[command(flatten)]
        organization: OrganizationFlag,
        /// What the key is for
        #[arg(long)]
        name: String,
        /// What it may do, read or write; both without this flag
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
        /// Instant from which it is not valid any more, such as 2027-01-01T00:00:00Z; never without this flag
        #[arg(long, value_name = "INSTANT")]
        expires: Option<Timestamp>,
    },
    /// List keys, revoked ones too
    List {
        #[command(flatten)]
        organization: OrganizationFlag,
    },
    /// End a key at once and for good
    Revoke {
        #[command(flatten)]
        organization: OrganizationFlag,
        /// The key's id, key_...
        id: ApiKeyId,
    },
}

/// # Errors
/// Refusals and faults.
pub async fn run(config: &Config, command: KeyCommand, output: Output) -> Result<(), Failure> {
    match command {
        KeyCommand::Create { organization, name, scopes, expires } => {
            let scopes = if scopes.is_empty() { Scope::ALL.to_vec() } else { scopes };
            let input = NewKey { name, scopes, expires_at: expires };
            create(config, &organization, &input, output).await
        }
        KeyCommand::List { organization } => list(config, &organization, output).await,
        KeyCommand::Revoke { organization, id } => {
            let key = with_billing(config, async |billing| {
                let caller = Caller::operator(organization.find(billing).await?);
                Ok(keys::revoke(billing, &caller, id).await?.into_inner())
            })
            .await?;
            output.show(&format!("{id} is revoked.\n"), || json!({ "key": as_json(&key) }))
        }
    }
}

async fn create(
    config: &Config,
    organization: &OrganizationFlag,
    input: &NewKey,
    output: Output,
) -> Result<(), Failure> {
    let made = with_billing(config, async |billing| {
        let caller = Caller::operator(organization.find(billing).await?);
        Ok(keys::create(billing, &caller, input).await.map(Applied::into_inner)?)
    })
    .await?;
    let secret = made.secret.as_ref().map(|secret| secret.reveal().to_owned()).unwrap_or_default();
    output.note(&format!("{} is made. The secret is shown this once:", made.key.id));
    output.show(&format!("{secret}\n"), || json!({ "key": as_json(&made.key), "secret": secret }))
}

async fn list(config: &Config, organization: &OrganizationFlag, output: Output) -> Result<(), Failure> {
    let all = with_billing(config, async |billing| {
        let organization = organization.find(billing).await?;
        let mut all: Vec<ApiKey> = Vec::new();
        loop {
            let page = Page::new(all.last().map(|key| key.id), Page::<ApiKeyId>::MOST);
            let slice = keys::list(billing, organization, &page).await?;
            all.extend(slice.items);
            if !slice.has_next {
                return Ok(all);
            }
        }
    })
    .await?;
    let mut table = Table::new(&["id", "name", "begins with", "scopes", "made", "last used", "expires", "revoked"]);
    for key in &all {
        let instant = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        table.row([
            key.id.to_string(),
            key.name.clone(),
            key.shown_prefix.clone(),
            scopes(key),
            key.created_at.to_string(),
            instant(key.last_used_at),
            instant(key.expires_at),
            instant(key.revoked_at),
        ]);
    }
    output.show(&table.to_string(), || json!({ "keys": all.iter().map(as_json).collect::<Vec<_>>() }))
}

fn scopes(key: &ApiKey) -> String {
    key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
}

fn as_json(key: &ApiKey) -> serde_json::Value {
    json!({
        "id": key.id.to_string(), "name": key.name, "beginsWith": key.shown_prefix, "scopes": key.scopes,
        "createdAt": key.created_at, "lastUsedAt": key.last_used_at, "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
    })
}
