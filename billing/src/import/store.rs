//! SQL of imports: how the transaction plans its statements, and the external ids that stand already.

use billing_db::Conn;
use billing_db::schema::{customer, partner, plan, subscription};
use billing_primitives::{CustomerId, OrganizationId, PartnerId, PlanId, SubscriptionId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::TryStreamExt;

use super::names::Names;

/// Plans every statement for the tables as they are by then. A plan that is kept would be the one for the small tables
/// that the transaction began with, and within it nobody counts the rows that it adds.
pub async fn plan_every_statement(conn: &mut Conn) -> QueryResult<()> {
    diesel::sql_query("SET LOCAL plan_cache_mode = force_custom_plan").execute(conn).await.map(|_| ())
}

macro_rules! load {
    ($function:ident, $table:ident, $id:ty) => {
        pub async fn $function(
            conn: &mut Conn,
            organization: OrganizationId,
            names: &mut Names<$id>,
        ) -> QueryResult<()> {
            let mut rows = $table::table
                .filter($table::organization_id.eq(organization))
                .select(($table::external_id, $table::id))
                .load_stream::<(String, $id)>(conn)
                .await?;
            while let Some((name, id)) = rows.try_next().await? {
                names.know(name, id);
            }
            Ok(())
        }
    };
}

load!(customers, customer, CustomerId);
load!(partners, partner, PartnerId);
load!(plans, plan, PlanId);
load!(subscriptions, subscription, SubscriptionId);
