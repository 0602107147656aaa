//! Plans: only their name may change, for amounts that stand were computed from the rest.

use billing_db::Conn;
use billing_primitives::{OrganizationId, PlanId};

use super::{Plan, Pricing, rules, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};
use crate::put::Put;
use crate::{Applied, Billing, audit};

/// What is needed to sell something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPlan {
    pub external_id: String,
    pub name: String,
    pub pricing: Pricing,
    /// None: per seat yes, flat no.
    pub counts_users: Option<bool>,
}

/// Makes a plan.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::ExternalIdTaken`].
pub async fn create(billing: &Billing, caller: &Caller, input: &NewPlan) -> Result<Applied<Plan>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add(conn, billing, caller, input).await)
        .await
}

/// As [`create`], inside a transaction.
pub(crate) async fn add(conn: &mut Conn, billing: &Billing, caller: &Caller, input: &NewPlan) -> Result<Plan, Error> {
    let now = billing.clock.now(conn).await?;
    let plan = rules::plan(caller.organization, PlanId::new(), input, now)?;
    if !store::insert_plan(conn, &plan).await? {
        return Err(Refusal::ExternalIdTaken { what: "plan", external_id: plan.external_id }.into());
    }
    let details = serde_json::json!({
        "externalId": plan.external_id, "pricing": plan.pricing, "countsUsers": plan.counts_users,
    });
    audit::record(conn, caller, now, "plan.create", plan.id, details).await?;
    Ok(plan)
}

/// Gives the plan another name.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`].
pub async fn update(billing: &Billing, caller: &Caller, id: PlanId, name: &str) -> Result<Applied<Plan>, Error> {
    let work = async |conn: &mut Conn| Ok(rename(conn, billing, caller, id, name).await?.0);
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`update`], inside a transaction; also says whether anything changed.
pub(crate) async fn rename(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    id: PlanId,
    name: &str,
) -> Result<(Plan, bool), Error> {
    let before = store::lock_plan(conn, caller.organization, id).await?;
    let before = before.ok_or_else(|| Refusal::not_found("plan", "plan", id))?;
    let after = rules::renamed(&before, name)?;
    if after == before {
        return Ok((before, false));
    }
    let now = billing.clock.now(conn).await?;
    store::rename_plan(conn, &after).await?;
    let details = serde_json::json!({ "before": before.name, "after": after.name });
    audit::record(conn, caller, now, "plan.update", id, details).await?;
    Ok((after, true))
}

/// Makes the plan or updates its name.
///
/// # Errors
/// As [`create`]; [`Refusal::DiffersFromRecorded`] when it is priced or counted otherwise.
pub(crate) async fn put(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewPlan,
) -> Result<Put<PlanId>, Error> {
    let Some(known) = store::plan_by_external_id(conn, caller.organization, &input.external_id).await? else {
        return Ok(Put::Made(add(conn, billing, caller, input).await?.id));
    };
    rules::same_plan(&known, input)?;
    let (plan, changed) = rename(conn, billing, caller, known.id, &input.name).await?;
    Ok(if changed { Put::Changed(plan.id) } else { Put::Unchanged(plan.id) })
}

/// A page of plans in the order of their external ids.
///
/// # Errors
/// Faults of the database.
pub async fn list(billing: &Billing, organization: OrganizationId, page: &Page<String>) -> Result<Slice<Plan>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::plans(conn, organization, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(billing: &Billing, organization: OrganizationId, ids: &[PlanId]) -> Result<Vec<Plan>, Error> {
    billing.db.read(organization, async |conn| Ok(store::plans_by_ids(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn by_external_id(
    billing: &Billing,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<Plan>, Error> {
    billing
        .db
        .read(organization, async |conn| Ok(store::plan_by_external_id(conn, organization, external_id).await?))
        .await
}
