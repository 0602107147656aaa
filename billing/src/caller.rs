//! Who asks, for which organization, and under which idempotency key.

use std::fmt;

use billing_db::IdempotencyKey;
use billing_primitives::{ApiKeyId, OrganizationId};

/// Who did it, as the audit log names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A program with an API key.
    ApiKey(ApiKeyId),
    /// Whoever operates the installation, on the command line.
    Operator,
    /// A job on schedule.
    Schedule,
    /// An event of Stripe's.
    Stripe,
    /// Whoever visits the seller's site, by its publishable key or host name.
    Visitor,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::ApiKey(id) => write!(f, "api-key:{id}"),
            Actor::Operator => f.write_str("operator"),
            Actor::Schedule => f.write_str("schedule"),
            Actor::Stripe => f.write_str("stripe"),
            Actor::Visitor => f.write_str("visitor"),
        }
    }
}

/// The context of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub organization: OrganizationId,
    pub actor: Actor,
    pub key: Option<IdempotencyKey>,
}

impl Caller {
    pub fn operator(organization: OrganizationId) -> Self {
        Caller { organization, actor: Actor::Operator, key: None }
    }

    pub fn schedule(organization: OrganizationId) -> Self {
        Caller { organization, actor: Actor::Schedule, key: None }
    }

    pub fn visitor(organization: OrganizationId) -> Self {
        Caller { organization, actor: Actor::Visitor, key: None }
    }
}
