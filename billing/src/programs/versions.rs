//! Versions of a programme: one draft at most, and the published ones, which never change.
//!
//! A version is published from a day on that lies behind every published version and not in the past: what was earned
//! so far keeps what was in force. Only the first one may be dated back, since before it nothing was earned.

use std::collections::HashSet;

use billing_db::Conn;
use billing_primitives::{Date, OrganizationId, PlanId, ProgramId, ProgramVersionId, Timestamp, text_enum};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rules;
use super::terms::{Overrides, PlanRule, Terms};
use super::{Program, lock, store};
use crate::caller::Caller;
use crate::commissions::again;
use crate::error::{Error, Refusal};
use crate::{Applied, Billing, audit, catalog, organizations};

text_enum! {
    pub enum VersionStatus { Draft = "DRAFT", Published = "PUBLISHED" }
}

/// The terms of a programme from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::program_version)]
pub struct ProgramVersion {
    pub organization_id: OrganizationId,
    pub id: ProgramVersionId,
    pub program_id: ProgramId,
    /// From 1, in the order of publishing.
    pub number: i32,
    pub status: VersionStatus,
    /// None of a draft.
    pub effective_from: Option<Date>,
    /// Attributions from before `effective_from` keep the version they had.
    pub new_customers_only: bool,
    pub terms: Terms,
    pub created_at: Timestamp,
    pub published_at: Option<Timestamp>,
}

/// Makes the programme's draft, or replaces all of it.
///
/// # Errors
/// [`Refusal::Invalid`] with the field of the terms, [`Refusal::NotFound`] (programme, or a plan of the terms).
pub async fn save_draft(
    billing: &Billing,
    caller: &Caller,
    program: ProgramId,
    terms: &Terms,
    new_customers_only: bool,
) -> Result<Applied<ProgramVersion>, Error> {
    let work = async |conn: &mut Conn| {
        let program = lock(conn, caller.organization, program).await?;
        put_draft(conn, billing, caller, &program, terms, new_customers_only).await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`save_draft`], under the lock of the programme.
pub(crate) async fn put_draft(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    program: &Program,
    terms: &Terms,
    new_customers_only: bool,
) -> Result<ProgramVersion, Error> {
    check(conn, caller.organization, terms).await?;
    let now = billing.clock.now(conn).await?;
    let known = store::versions_of(conn, caller.organization, &[program.id]).await?;
    let draft = match known.iter().find(|version| version.status == VersionStatus::Draft) {
        Some(draft) => {
            let draft = ProgramVersion { new_customers_only, terms: terms.clone(), ..draft.clone() };
            store::update_draft(conn, &draft).await?;
            draft
        }
        None => {
            let draft = ProgramVersion {
                organization_id: caller.organization,
                id: ProgramVersionId::new(),
                program_id: program.id,
                number: known.iter().map(|version| version.number).max().unwrap_or(0).saturating_add(1),
                status: VersionStatus::Draft,
                effective_from: None,
                new_customers_only,
                terms: terms.clone(),
                created_at: now,
                published_at: None,
            };
            store::insert_version(conn, &draft).await?;
            draft
        }
    };
    audit::record(conn, caller, now, "program_version.save_draft", draft.id, json!(draft)).await?;
    Ok(draft)
}

/// Throws the draft away; its number is free again.
///
/// # Errors
/// [`Refusal::NotFound`] (programme, or it has no draft).
pub async fn discard_draft(billing: &Billing, caller: &Caller, program: ProgramId) -> Result<Applied<Program>, Error> {
    let work = async |conn: &mut Conn| {
        let program = lock(conn, caller.organization, program).await?;
        let draft = draft_of(conn, &program).await?;
        store::delete_draft(conn, caller.organization, draft.id).await?;
        let now = billing.clock.now(conn).await?;
        audit::record(conn, caller, now, "program_version.discard_draft", draft.id, json!(draft)).await?;
        Ok(program)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Publishes the draft from a day on. From then on nothing of it changes.
///
/// # Errors
/// [`Refusal::NotFound`] (programme, or it has no draft), [`Refusal::DateBefore`] when the day does not lie behind the
/// last published version's or lies in the past and a version is published already, [`Refusal::Invalid`] with the field
/// of the terms, also when what an enrollment earns by agreement would give away too much under them.
pub async fn publish(
    billing: &Billing,
    caller: &Caller,
    program: ProgramId,
    effective_from: Date,
) -> Result<Applied<ProgramVersion>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let program = lock(conn, organization, program).await?;
        let draft = draft_of(conn, &program).await?;
        check(conn, organization, &draft.terms).await?;
        let seller = organizations::current(conn, organization).await?;
        let today = organizations::today(conn, billing, &seller).await?;
        let published = published_of(conn, organization, &[program.id]).await?;
        rules::check_effective_from(effective_from, today, &published)?;
        let agreed = store::terms_from(conn, organization, program.id, effective_from).await?;
        rules::check_agreed(&draft.terms, &agreed)?;
        let now = billing.clock.now(conn).await?;
        let version = ProgramVersion {
            status: VersionStatus::Published,
            effective_from: Some(effective_from),
            published_at: Some(now),
            ..draft
        };
        store::publish(conn, &version).await?;
        if effective_from <= today {
            again::enqueue(conn, organization, program.id, &version.id.to_string()).await?;
        }
        audit::record(conn, caller, now, "program_version.publish", version.id, json!(version)).await?;
        Ok(version)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

async fn draft_of(conn: &mut Conn, program: &Program) -> Result<ProgramVersion, Error> {
    let known = store::versions_of(conn, program.organization_id, &[program.id]).await?;
    let draft = known.into_iter().find(|version| version.status == VersionStatus::Draft);
    draft.ok_or_else(|| Refusal::not_found("program", "draft of program", &program.external_id).into())
}

/// Checks what terms say by themselves, and that the plans they name exist.
async fn check(conn: &mut Conn, organization: OrganizationId, terms: &Terms) -> Result<(), Error> {
    rules::check_terms(terms)?;
    check_plans(conn, organization, &terms.plan_rules).await
}

/// # Errors
/// [`Refusal::NotFound`] with the first plan that does not exist.
async fn check_plans(conn: &mut Conn, organization: OrganizationId, plan_rules: &[PlanRule]) -> Result<(), Error> {
    let named: Vec<PlanId> = plan_rules.iter().map(|rule| rule.plan).collect();
    if named.is_empty() {
        return Ok(());
    }
    let known = catalog::store::plans_by_ids(conn, organization, &named).await?;
    let known: HashSet<PlanId> = known.into_iter().map(|plan| plan.id).collect();
    match named.iter().find(|plan| !known.contains(plan)) {
        Some(plan) => Err(Refusal::not_found("planRules", "plan", plan).into()),
        None => Ok(()),
    }
}

/// Checks what an enrollment earns by agreement from `day` on: by itself, that its plans exist, and that no version
/// which may then apply gives away too much with it.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`].
pub(super) async fn check_overrides(
    conn: &mut Conn,
    program: &Program,
    day: Date,
    agreed: (super::SettlementMode, &Overrides),
) -> Result<(), Error> {
    rules::check_overrides(agreed.1)?;
    check_plans(conn, program.organization_id, &agreed.1.plan_rules).await?;
    let published = published_of(conn, program.organization_id, &[program.id]).await?;
    for version in rules::applying(&published, day) {
        rules::check_agreed_share(&version.terms, agreed)?;
    }
    Ok(())
}

/// The published versions of these programmes, by programme and day.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn published_of(
    conn: &mut Conn,
    organization: OrganizationId,
    programs: &[ProgramId],
) -> Result<Vec<ProgramVersion>, Error> {
    Ok(store::published_of(conn, organization, programs).await?)
}

/// All versions of these programmes, by programme and number; a draft is the last of its programme.
///
/// # Errors
/// Faults of the database.
pub async fn versions_of(
    billing: &Billing,
    organization: OrganizationId,
    programs: &[ProgramId],
) -> Result<Vec<ProgramVersion>, Error> {
    billing.db.read(organization, async |conn| Ok(store::versions_of(conn, organization, programs).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[ProgramVersionId],
) -> Result<Vec<ProgramVersion>, Error> {
    billing.db.read(organization, async |conn| Ok(store::versions_by_ids(conn, organization, ids).await?)).await
}
