//! SQL of programmes and their versions.

mod applications;
mod enrollments;
mod evaluations;

use billing_db::schema::{program, program_version};
use billing_db::{Conn, DbError};
use billing_primitives::{OrganizationId, ProgramId, ProgramVersionId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub use applications::*;
pub use enrollments::*;
pub use evaluations::*;

use super::Program;
use super::versions::{ProgramVersion, VersionStatus};
use crate::page::Page;

pub async fn insert(conn: &mut Conn, row: &Program) -> QueryResult<()> {
    diesel::insert_into(program::table).values(row).execute(conn).await.map(|_| ())
}

pub async fn update(conn: &mut Conn, row: &Program) -> Result<(), DbError> {
    let written = diesel::update(program::table)
        .filter(program::organization_id.eq(row.organization_id))
        .filter(program::id.eq(row.id))
        .set((program::name.eq(&row.name), program::is_default.eq(row.is_default)))
        .execute(conn)
        .await?;
    DbError::expect_rows("program", 1, written)
}

/// Takes the default from the programme that has it.
pub async fn take_default(conn: &mut Conn, organization: OrganizationId) -> QueryResult<()> {
    diesel::update(program::table)
        .filter(program::organization_id.eq(organization))
        .filter(program::is_default)
        .set(program::is_default.eq(false))
        .execute(conn)
        .await
        .map(|_| ())
}

pub async fn lock(conn: &mut Conn, organization: OrganizationId, id: ProgramId) -> QueryResult<Option<Program>> {
    program::table
        .filter(program::organization_id.eq(organization))
        .filter(program::id.eq(id))
        .select(Program::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[ProgramId]) -> QueryResult<Vec<Program>> {
    program::table
        .filter(program::organization_id.eq(organization))
        .filter(program::id.eq_any(ids))
        .select(Program::as_select())
        .load(conn)
        .await
}

pub async fn by_external_id(
    conn: &mut Conn,
    organization: OrganizationId,
    external_id: &str,
) -> QueryResult<Option<Program>> {
    program::table
        .filter(program::organization_id.eq(organization))
        .filter(program::external_id.eq(external_id))
        .select(Program::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn default_program(conn: &mut Conn, organization: OrganizationId) -> QueryResult<Option<Program>> {
    program::table
        .filter(program::organization_id.eq(organization))
        .filter(program::is_default)
        .select(Program::as_select())
        .first(conn)
        .await
        .optional()
}

/// In the order of their external ids.
pub async fn list(conn: &mut Conn, organization: OrganizationId, page: &Page<String>) -> QueryResult<Vec<Program>> {
    let mut query = program::table
        .filter(program::organization_id.eq(organization))
        .order(program::external_id)
        .limit(page.limit())
        .select(Program::as_select())
        .into_boxed();
    if let Some(after) = &page.after {
        query = query.filter(program::external_id.gt(after));
    }
    query.load(conn).await
}

pub async fn insert_version(conn: &mut Conn, row: &ProgramVersion) -> QueryResult<()> {
    diesel::insert_into(program_version::table).values(row).execute(conn).await.map(|_| ())
}

/// Replaces what a draft says; a published version is never met.
pub async fn update_draft(conn: &mut Conn, row: &ProgramVersion) -> Result<(), DbError> {
    let written = diesel::update(program_version::table)
        .filter(program_version::organization_id.eq(row.organization_id))
        .filter(program_version::id.eq(row.id))
        .filter(program_version::status.eq(VersionStatus::Draft))
        .set((program_version::terms.eq(&row.terms), program_version::new_customers_only.eq(row.new_customers_only)))
        .execute(conn)
        .await?;
    DbError::expect_rows("program_version", 1, written)
}

pub async fn delete_draft(conn: &mut Conn, organization: OrganizationId, id: ProgramVersionId) -> Result<(), DbError> {
    let written = diesel::delete(program_version::table)
        .filter(program_version::organization_id.eq(organization))
        .filter(program_version::id.eq(id))
        .filter(program_version::status.eq(VersionStatus::Draft))
        .execute(conn)
        .await?;
    DbError::expect_rows("program_version", 1, written)
}

/// Turns the draft into what it will always be.
pub async fn publish(conn: &mut Conn, row: &ProgramVersion) -> Result<(), DbError> {
    let written = diesel::update(program_version::table)
        .filter(program_version::organization_id.eq(row.organization_id))
        .filter(program_version::id.eq(row.id))
        .filter(program_version::status.eq(VersionStatus::Draft))
        .set((
            program_version::status.eq(row.status),
            program_version::effective_from.eq(row.effective_from),
            program_version::published_at.eq(row.published_at),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("program_version", 1, written)
}

/// By programme and number.
pub async fn versions_of(
    conn: &mut Conn,
    organization: OrganizationId,
    programs: &[ProgramId],
) -> QueryResult<Vec<ProgramVersion>> {
    program_version::table
        .filter(program_version::organization_id.eq(organization))
        .filter(program_version::program_id.eq_any(programs))
        .order((program_version::program_id, program_version::number))
        .select(ProgramVersion::as_select())
        .load(conn)
        .await
}

/// By programme and day.
pub async fn published_of(
    conn: &mut Conn,
    organization: OrganizationId,
    programs: &[ProgramId],
) -> QueryResult<Vec<ProgramVersion>> {
    program_version::table
        .filter(program_version::organization_id.eq(organization))
        .filter(program_version::program_id.eq_any(programs))
        .filter(program_version::status.eq(VersionStatus::Published))
        .order((program_version::program_id, program_version::effective_from))
        .select(ProgramVersion::as_select())
        .load(conn)
        .await
}

pub async fn versions_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[ProgramVersionId],
) -> QueryResult<Vec<ProgramVersion>> {
    program_version::table
        .filter(program_version::organization_id.eq(organization))
        .filter(program_version::id.eq_any(ids))
        .select(ProgramVersion::as_select())
        .load(conn)
        .await
}
