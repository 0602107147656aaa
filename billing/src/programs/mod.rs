//! Programmes: affiliate schemes with immutable published versions, the partners enrolled in them, and their tiers.
//!
//! What a commission is computed with is always the version, the enrollment's terms and the evaluation of a day: rows
//! that are only ever added. A published version never changes, an evaluation is never reopened.

pub mod applications;
pub mod enrollments;
pub mod evaluations;
pub mod rules;
pub(crate) mod store;
pub mod terms;
pub mod versions;

use billing_db::{Conn, Constraint, DbError};
use billing_primitives::{Currency, OrganizationId, ProgramId, Timestamp};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use applications::{Application, ApplicationStatus};
pub use enrollments::{Enrollment, EnrollmentTerms};
pub use evaluations::{EnrollmentEvaluation, TierProgress};
pub use terms::{Overrides, SettlementMode, Terms};
pub use versions::{ProgramVersion, VersionStatus};

use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::rules::{external_id, text};
use crate::page::{Page, Slice};
use crate::{Applied, Billing, audit};

/// An affiliate scheme in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::program)]
pub struct Program {
    pub organization_id: OrganizationId,
    pub id: ProgramId,
    pub external_id: String,
    pub name: String,
    /// Of its flat rewards, requirements and thresholds, and of everything it pays.
    pub currency: Currency,
    /// A partner's default code means its enrollment in this programme; one per organization.
    pub is_default: bool,
    pub created_at: Timestamp,
}

/// A programme to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProgram {
    pub external_id: String,
    pub name: String,
    pub currency: Currency,
    /// Takes it from the one that was the default.
    pub is_default: bool,
    /// Those of the first draft.
    pub terms: Option<Terms>,
}

/// What may change of a programme; none: stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProgramChange {
    pub name: Option<String>,
    pub is_default: Option<bool>,
}

/// Makes a programme, with a draft of its first version if terms are given.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::ExternalIdTaken`], [`Refusal::NotFound`] (a plan of the terms).
pub async fn create(billing: &Billing, caller: &Caller, input: &NewProgram) -> Result<Applied<Program>, Error> {
    let made = billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add(conn, billing, caller, input).await)
        .await;
    made.map_err(|error| match error.refused_by() {
        Some(Constraint::Unique("program_organization_id_external_id_key")) => taken(&input.external_id).into(),
        _ => error,
    })
}

/// As [`create`], inside a transaction.
pub(crate) async fn add(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewProgram,
) -> Result<Program, Error> {
    let now = billing.clock.now(conn).await?;
    let program = Program {
        organization_id: caller.organization,
        id: ProgramId::new(),
        external_id: external_id(&input.external_id)?,
        name: text("name", &input.name)?,
        currency: input.currency,
        is_default: input.is_default,
        created_at: now,
    };
    if store::by_external_id(conn, caller.organization, &program.external_id).await?.is_some() {
        return Err(taken(&program.external_id).into());
    }
    if program.is_default {
        store::take_default(conn, caller.organization).await?;
    }
    store::insert(conn, &program).await.map_err(met_another)?;
    audit::record(conn, caller, now, "program.create", program.id, json!(program)).await?;
    if let Some(terms) = &input.terms {
        versions::put_draft(conn, billing, caller, &program, terms, false).await?;
    }
    Ok(program)
}

/// Renames a programme, makes it the default or takes that from it.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::Invalid`].
pub async fn update(
    billing: &Billing,
    caller: &Caller,
    id: ProgramId,
    input: &ProgramChange,
) -> Result<Applied<Program>, Error> {
    let work = async |conn: &mut Conn| {
        let before = lock(conn, caller.organization, id).await?;
        let after = Program {
            name: input.name.as_deref().map_or(Ok(before.name.clone()), |name| text("name", name))?,
            is_default: input.is_default.unwrap_or(before.is_default),
            ..before.clone()
        };
        if after == before {
            return Ok(before);
        }
        if after.is_default && !before.is_default {
            store::take_default(conn, caller.organization).await?;
        }
        store::update(conn, &after).await.map_err(|error| match error {
            DbError::Query(error) => met_another(error),
            other => other.into(),
        })?;
        let now = billing.clock.now(conn).await?;
        audit::record(conn, caller, now, "program.update", id, json!({ "before": before, "after": after })).await?;
        Ok(after)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

fn taken(external_id: &str) -> Refusal {
    Refusal::ExternalIdTaken { what: "program", external_id: external_id.to_owned() }
}

/// Two programmes that become the default at the same moment take turns: the later one is run again.
fn met_another(error: diesel::result::Error) -> Error {
    let error = DbError::from(error);
    match error.refused_by() {
        Some(Constraint::Unique("program_default")) => DbError::Contention.into(),
        _ => error.into(),
    }
}

/// A page of programmes in the order of their external ids.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<String>,
) -> Result<Slice<Program>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(billing: &Billing, organization: OrganizationId, ids: &[ProgramId]) -> Result<Vec<Program>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_ids(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn by_external_id(
    billing: &Billing,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<Program>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_external_id(conn, organization, external_id).await?)).await
}

/// The programme that default codes mean.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn default_program(conn: &mut Conn, organization: OrganizationId) -> Result<Option<Program>, Error> {
    Ok(store::default_program(conn, organization).await?)
}

/// # Errors
/// [`Refusal::NotFound`].
pub(crate) async fn find(conn: &mut Conn, organization: OrganizationId, id: ProgramId) -> Result<Program, Error> {
    store::by_ids(conn, organization, &[id]).await?.pop().ok_or_else(|| missing(id))
}

/// Locks the programme: who drafts, publishes and enrols takes turns here.
///
/// # Errors
/// [`Refusal::NotFound`].
pub(crate) async fn lock(conn: &mut Conn, organization: OrganizationId, id: ProgramId) -> Result<Program, Error> {
    store::lock(conn, organization, id).await?.ok_or_else(|| missing(id))
}

fn missing(id: ProgramId) -> Error {
    Refusal::not_found("program", "program", id).into()
}
