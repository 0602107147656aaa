//! Which of Stripe's prices and products are which plan; each of them is one plan at most.

use std::collections::BTreeSet;

use billing_db::Conn;
use billing_primitives::{OrganizationId, PlanId, Timestamp};
use diesel::prelude::*;

use super::{Plan, rules, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::{Applied, Billing, audit, commissions};

/// A price or product of Stripe that is a plan.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = billing_db::schema::plan_stripe_ref)]
pub struct PlanStripeId {
    pub organization_id: OrganizationId,
    pub stripe_id: String,
    pub plan_id: PlanId,
    pub created_at: Timestamp,
}

/// Says which of Stripe's prices and products are this plan; what is left out is it no more. Commissions of the
/// customers that have been billed for any of them are derived again.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::Invalid`], [`Refusal::StripeIdTaken`] when one belongs to another plan.
pub async fn set(billing: &Billing, caller: &Caller, plan: PlanId, ids: &[String]) -> Result<Applied<Plan>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let wanted = rules::stripe_ids(ids)?;
        let known = store::lock_plan(conn, organization, plan).await?;
        let known = known.ok_or_else(|| Refusal::not_found("plan", "plan", plan))?;
        let before: BTreeSet<String> =
            store::stripe_ids_of(conn, organization, &[plan]).await?.into_iter().map(|row| row.stripe_id).collect();
        if before == wanted {
            return Ok(known);
        }
        let now = billing.clock.now(conn).await?;
        let gone: Vec<String> = before.difference(&wanted).cloned().collect();
        store::delete_stripe_ids(conn, organization, plan, &gone).await?;
        for stripe_id in wanted.difference(&before) {
            let row = PlanStripeId {
                organization_id: organization,
                stripe_id: stripe_id.clone(),
                plan_id: plan,
                created_at: now,
            };
            if !store::insert_stripe_id(conn, &row).await? {
                return Err(Refusal::StripeIdTaken { stripe_id: row.stripe_id }.into());
            }
        }
        let details = serde_json::json!({ "before": before, "after": wanted });
        audit::record(conn, caller, now, "plan.set_stripe_ids", plan, details).await?;
        let moved: Vec<&str> = before.symmetric_difference(&wanted).map(String::as_str).collect();
        let customers = store::billed_by_stripe(conn, organization, &moved).await?;
        commissions::customers_changed(conn, billing, caller, &customers, "plan.set_stripe_ids").await?;
        Ok::<_, Error>(known)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// The prices and products of these plans, by plan and id.
///
/// # Errors
/// Faults of the database.
pub async fn of_plans(
    billing: &Billing,
    organization: OrganizationId,
    plans: &[PlanId],
) -> Result<Vec<PlanStripeId>, Error> {
    billing.db.read(organization, async |conn| Ok(store::stripe_ids_of(conn, organization, plans).await?)).await
}
