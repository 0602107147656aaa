//! A folder of CSV files as one transaction: all of it is written, or nothing and every bad row is named.
//!
//! Parsing ([`files`], [`table`], [`rows`]) knows no database, and writing goes through the commands of the nouns, whose
//! checks come before their writes: a refused row leaves the transaction alive, and reading goes on behind it. The same
//! folder again changes nothing.

mod batch;
mod desk;
mod facts;
mod files;
mod folder;
mod masters;
mod names;
mod prices;
mod report;
mod rows;
mod seats;
mod store;
mod table;

use std::io;

use billing_db::{Conn, DbError, Fault, directory};
use billing_primitives::OrganizationId;
use thiserror::Error as ThisError;

use self::desk::Desk;
pub use self::files::File;
pub use self::folder::Folder;
pub use self::report::{Counts, FileReport, Problem, Report};
use self::table::{BadCell, Table};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::{Billing, audit};

/// Hears how far a file is read: its name, the rows done, and how many there may be by its length in bytes.
pub type Progress<'a> = dyn Fn(&str, u64, u64) + Sync + 'a;

/// Why nothing was imported.
#[derive(Debug, ThisError)]
pub enum ImportError {
    /// Rows or whole files are refused; the report names all of them.
    #[error("{} of {} rows are refused: nothing is imported", .0.total().refused, .0.total().rows())]
    Refused(Box<Report>),
    #[error("{name} cannot be read: {error}")]
    Unreadable { name: String, error: io::Error },
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<DbError> for ImportError {
    fn from(error: DbError) -> Self {
        ImportError::Failed(Error::from(error))
    }
}

impl From<diesel::result::Error> for ImportError {
    fn from(error: diesel::result::Error) -> Self {
        ImportError::from(DbError::from(error))
    }
}

impl Fault for ImportError {
    fn db(&self) -> Option<&DbError> {
        match self {
            ImportError::Failed(error) => error.db(),
            _ => None,
        }
    }
}

/// Why a row is not written.
#[derive(Debug)]
enum Stop {
    /// A cell cannot be taken.
    Bad(BadCell),
    /// The business says no.
    Refused(Refusal),
    /// It depends on a row that is refused, and that one has said it all.
    Depends,
    /// Ends the import at once.
    Fault(ImportError),
}

impl From<BadCell> for Stop {
    fn from(bad: BadCell) -> Self {
        Stop::Bad(bad)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            // It was free when it was looked up: somebody else has just taken it, and the whole runs again.
            Error::Refused(Refusal::ExternalIdTaken { .. }) => Stop::Fault(DbError::Contention.into()),
            Error::Refused(refusal) => Stop::Refused(refusal),
            fault => Stop::Fault(fault.into()),
        }
    }
}

impl From<diesel::result::Error> for Stop {
    fn from(error: diesel::result::Error) -> Self {
        Stop::Fault(error.into())
    }
}

/// Imports a folder for `organization`, or (none) for the one that its `organization.csv` names, which is made when
/// there is none of that external id. It runs again from the start when it meets another transaction, and so does
/// `progress`.
///
/// # Errors
/// [`ImportError::Refused`] with all that has to be corrected; nothing is written then. [`Refusal::NotFound`] when
/// there is no such organization.
pub async fn import(
    billing: &Billing,
    folder: &Folder,
    organization: Option<OrganizationId>,
    progress: &Progress<'_>,
) -> Result<Report, ImportError> {
    let id = whose(billing, folder, organization).await?;
    let work = async |conn: &mut Conn| once(conn, billing, folder, id, progress).await.map_err(met_another);
    billing.db.patient().scoped(id, work).await
}

/// The organization of the folder: its id, or a new one.
async fn whose(
    billing: &Billing,
    folder: &Folder,
    organization: Option<OrganizationId>,
) -> Result<OrganizationId, ImportError> {
    let mut report = Report::new(organization);
    if folder.is_empty() {
        let names: Vec<&str> = File::ALL.iter().map(|file| file.name()).collect();
        report.refuse("the folder", format!("has none of {}", names.join(", ")));
    } else if organization.is_none() && !folder.has(File::Organization) {
        report.refuse(File::Organization.name(), "is not there, and no organization is named");
    }
    if report.is_refused() {
        return Err(ImportError::Refused(Box::new(report)));
    }
    if let Some(id) = organization {
        return Ok(id);
    }
    let Some(name) = external_id(folder)? else { return Ok(OrganizationId::new()) };
    let known = billing.db.find(directory::Kind::Organization, &name).await?;
    Ok(known.unwrap_or_else(OrganizationId::new))
}

/// What the first row of `organization.csv` is called; what is wrong with it comes out when it is imported.
fn external_id(folder: &Folder) -> Result<Option<String>, ImportError> {
    let file = File::Organization;
    let unreadable = |error| ImportError::Unreadable { name: file.name().to_owned(), error };
    let Some((source, bytes)) = folder.read(file)? else { return Ok(None) };
    let Ok(mut table) = Table::open(file, source, bytes).map_err(unreadable)? else { return Ok(None) };
    let line = table.next().map_err(unreadable)?;
    Ok(line.and_then(|line| line.name("externalId").map(str::to_owned)))
}

async fn once(
    conn: &mut Conn,
    billing: &Billing,
    folder: &Folder,
    organization: OrganizationId,
    progress: &Progress<'_>,
) -> Result<Report, ImportError> {
    store::plan_every_statement(conn).await?;
    let now = billing.clock.now(conn).await?;
    let mut desk = Desk::new(billing, folder, organization, now, progress);
    desk.organization(conn).await?;
    desk.load_names(conn).await?;
    desk.plans(conn).await?;
    desk.partners(conn).await?;
    desk.prices(conn).await?;
    desk.tiers(conn).await?;
    desk.customers(conn).await?;
    desk.subscriptions(conn).await?;
    desk.seat_changes(conn).await?;
    desk.retail_prices(conn).await?;
    desk.exchange_rates(conn).await?;
    let report = desk.close();
    if report.is_refused() {
        return Err(ImportError::Refused(Box::new(report)));
    }
    let caller = Caller::operator(organization);
    audit::record(conn, &caller, now, "import", organization, serde_json::json!({ "files": report.files })).await?;
    Ok(report)
}

/// A unique key that was free when it was looked up was taken by somebody at the same moment: from what stands now, the
/// same row is unchanged or refused with its reason.
fn met_another(error: ImportError) -> ImportError {
    let ImportError::Failed(fault) = &error else { return error };
    match fault.refused_by() {
        Some(constraint @ billing_db::Constraint::Unique(_)) => {
            tracing::warn!(?constraint, "the import met another writer and begins again");
            DbError::Contention.into()
        }
        _ => error,
    }
}
