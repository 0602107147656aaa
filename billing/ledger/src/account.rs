//! An account is named by what it is for; its id follows from its name, so nobody looks it up to post.

use billing_primitives::{Currency, LedgerAccountId, OrganizationId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What an account is for: a kind of the chart, an owner (such as a partner) where the kind has one, a currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey {
    pub kind: &'static str,
    pub owner: Option<Uuid>,
    pub currency: Currency,
}

impl AccountKey {
    /// The account's id: the beginning of a hash over its name, as a UUID of version 8.
    pub fn id(&self, organization: OrganizationId) -> LedgerAccountId {
        let mut hash = Sha256::new();
        hash.update(organization.uuid().as_bytes());
        hash.update(self.owner.unwrap_or(Uuid::nil()).as_bytes());
        hash.update(self.currency.code());
        hash.update(self.kind);
        let digest = hash.finalize();
        let mut bytes = [0_u8; 16];
        bytes.copy_from_slice(&digest[..16]);
        LedgerAccountId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}
