//! SQL of applications.

use billing_db::schema::application;
use billing_db::{Conn, DbError};
use billing_primitives::{ApplicationId, OrganizationId, ProgramId};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use crate::page::Page;
use crate::programs::applications::{Application, ApplicationStatus};

diesel::define_sql_function! {
    fn lower(text: Text) -> Text;
}

pub async fn insert_application(conn: &mut Conn, row: &Application) -> QueryResult<()> {
    diesel::insert_into(application::table).values(row).execute(conn).await.map(|_| ())
}

pub async fn update_application(conn: &mut Conn, row: &Application) -> Result<(), DbError> {
    let written = diesel::update(application::table)
        .filter(application::organization_id.eq(row.organization_id))
        .filter(application::id.eq(row.id))
        .set(row)
        .execute(conn)
        .await?;
    DbError::expect_rows("application", 1, written)
}

pub async fn lock_application(
    conn: &mut Conn,
    organization: OrganizationId,
    id: ApplicationId,
) -> QueryResult<Option<Application>> {
    application::table
        .filter(application::organization_id.eq(organization))
        .filter(application::id.eq(id))
        .select(Application::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// Whether an application from this address, in capitals or not, waits for an answer.
pub async fn is_pending(
    conn: &mut Conn,
    organization: OrganizationId,
    program: ProgramId,
    email: &str,
) -> QueryResult<bool> {
    let waiting = application::table
        .filter(application::organization_id.eq(organization))
        .filter(application::program_id.eq(program))
        .filter(application::status.eq(ApplicationStatus::Pending))
        .filter(lower(application::email).eq(lower(email)));
    diesel::select(exists(waiting)).get_result(conn).await
}

/// The newest first.
pub async fn applications(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<ApplicationId>,
    status: Option<ApplicationStatus>,
) -> QueryResult<Vec<Application>> {
    let mut query = application::table
        .filter(application::organization_id.eq(organization))
        .order(application::id.desc())
        .limit(page.limit())
        .select(Application::as_select())
        .into_boxed();
    if let Some(status) = status {
        query = query.filter(application::status.eq(status));
    }
    if let Some(after) = page.after {
        query = query.filter(application::id.lt(after));
    }
    query.load(conn).await
}

pub async fn applications_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[ApplicationId],
) -> QueryResult<Vec<Application>> {
    application::table
        .filter(application::organization_id.eq(organization))
        .filter(application::id.eq_any(ids))
        .select(Application::as_select())
        .load(conn)
        .await
}
