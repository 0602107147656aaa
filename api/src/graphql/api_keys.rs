//! API keys: what programs carry to be let in.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::keys;

use super::connection::{Connection, List};
use super::errors::UserError;
use super::scalars::DateTime;
use super::scope::{Payload, Scope, id};
use crate::payloads;

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "keys::Scope")]
pub enum ApiKeyScope {
    /// Queries.
    Read,
    /// Mutations.
    Write,
}

/// A key as it can be shown: without its secret.
#[derive(Debug, Clone, SimpleObject)]
pub struct ApiKey {
    /// The global id.
    pub id: ID,
    /// What it is for.
    pub name: String,
    /// How the secret begins, to tell keys apart.
    pub shown_prefix: String,
    /// What it may do.
    pub scopes: Vec<ApiKeyScope>,
    /// When it was made.
    pub created_at: DateTime,
    /// The first instant at which it opens nothing any more; null: it does not expire.
    pub expires_at: Option<DateTime>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime>,
}

impl From<keys::ApiKey> for ApiKey {
    fn from(row: keys::ApiKey) -> Self {
        ApiKey {
            id: row.id.into(),
            name: row.name,
            shown_prefix: row.shown_prefix,
            scopes: row.scopes.into_iter().map(Into::into).collect(),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Into::into),
            last_used_at: row.last_used_at.map(Into::into),
            revoked_at: row.revoked_at.map(Into::into),
        }
    }
}

#[derive(Default)]
pub struct ApiKeyQuery;

#[Object]
impl ApiKeyQuery {
    /// All API keys, revoked ones too, in the order in which they were made.
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<ApiKey>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("apiKeys", scope.organization(), first, after.as_deref())?;
        let slice = keys::list(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |key| key.id)
    }
}

/// A new API key.
#[derive(Debug, Clone, InputObject)]
pub struct CreateApiKeyInput {
    /// What it is for.
    name: String,
    /// What it may do; at least one.
    scopes: Vec<ApiKeyScope>,
    /// The first instant at which it opens nothing any more; without one it does not expire.
    expires_at: Option<DateTime>,
}

/// A key to end.
#[derive(Debug, Clone, InputObject)]
pub struct RevokeApiKeyInput {
    /// The id of the key.
    key: ID,
}

/// What making an API key came to.
#[derive(SimpleObject)]
pub struct CreateApiKeyPayload {
    /// The new key.
    pub api_key: Option<ApiKey>,
    /// The secret to send as `Authorization: Bearer`. This is the only answer that ever shows it; a repetition under
    /// the same idempotency key has null.
    pub secret: Option<String>,
    /// Why nothing was done; empty when it was.
    pub user_errors: Vec<UserError>,
}

impl Payload<keys::CreatedKey> for CreateApiKeyPayload {
    fn done(outcome: keys::CreatedKey) -> Self {
        let secret = outcome.secret.map(|secret| secret.reveal().to_owned());
        CreateApiKeyPayload { api_key: Some(outcome.key.into()), secret, user_errors: Vec::new() }
    }

    fn refused(error: UserError) -> Self {
        CreateApiKeyPayload { api_key: None, secret: None, user_errors: vec![error] }
    }
}

payloads! {
    /// What revoking an API key came to.
    RevokeApiKeyPayload {
        /// The key as it is now.
        api_key: ApiKey as keys::ApiKey
    }
}

#[derive(Default)]
pub struct ApiKeyMutation;

#[Object]
impl ApiKeyMutation {
    /// Makes an API key of the organization's mode. Its secret is shown once, in this answer.
    async fn create_api_key(&self, ctx: &Context<'_>, input: CreateApiKeyInput) -> Result<CreateApiKeyPayload> {
        let scope = Scope::of(ctx)?;
        let key = keys::NewKey {
            name: input.name,
            scopes: input.scopes.into_iter().map(Into::into).collect(),
            expires_at: input.expires_at.map(Into::into),
        };
        scope.shows_secret();
        scope.command(keys::create(&scope.billing, &scope.caller, &key)).await
    }

    /// Ends an API key at once and for good.
    async fn revoke_api_key(&self, ctx: &Context<'_>, input: RevokeApiKeyInput) -> Result<RevokeApiKeyPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { keys::revoke(&scope.billing, &scope.caller, id("key", "API key", &input.key)?).await };
        scope.command(work).await
    }
}
