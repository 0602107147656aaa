//! Batch reads: what a whole page needs of another noun is one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use billing::{Billing, partners};
use billing_primitives::{OrganizationId, PartnerId};

/// Reads rows of one organization by many keys at once.
pub struct Rows {
    pub billing: Billing,
    pub organization: OrganizationId,
}

/// One line per noun: its id, its row and the service that reads many of them.
macro_rules! by_id {
    ($($id:ty => $row:ty, $read:path;)*) => {$(
        impl Loader<$id> for Rows {
            type Value = $row;
            type Error = Arc<billing::Error>;

            async fn load(&self, keys: &[$id]) -> Result<HashMap<$id, Self::Value>, Self::Error> {
                let rows = $read(&self.billing, self.organization, keys).await?;
                Ok(rows.into_iter().map(|row| (row.id, row)).collect())
            }
        }
    )*};
}

by_id! {
    PartnerId => partners::Partner, partners::by_ids;
}
