//! Where an import keeps what it knows between rows. Files come in by one door, rows go out by one door.

use billing_db::Conn;
use billing_primitives::{CustomerId, OrganizationId, PartnerId, PlanId, SubscriptionId, Timestamp};

use super::files::File;
use super::folder::Folder;
use super::names::Names;
use super::report::Report;
use super::table::{BadCell, Line, Table};
use super::{ImportError, Progress, Stop, store};
use crate::caller::Caller;
use crate::put::Put;
use crate::{Billing, Clock};

/// Rows between two words about the progress.
const TELL_EVERY: u64 = 200;

pub struct Desk<'a> {
    /// Its clock stands at the beginning of the transaction.
    pub billing: Billing,
    pub caller: Caller,
    folder: &'a Folder,
    progress: &'a Progress<'a>,
    pub report: Report,
    /// Whether the organization stands; without it rows are read and nothing is written.
    pub stands: bool,
    pub plans: Names<PlanId>,
    pub partners: Names<PartnerId>,
    pub customers: Names<CustomerId>,
    pub subscriptions: Names<SubscriptionId>,
}

impl<'a> Desk<'a> {
    pub fn new(
        billing: &Billing,
        folder: &'a Folder,
        organization: OrganizationId,
        now: Timestamp,
        progress: &'a Progress<'a>,
    ) -> Self {
        let mut report = Report::new(Some(organization));
        for name in &folder.unknown {
            report.refuse(name, "is no file that can be imported");
        }
        Desk {
            // The clock of a transaction stands still anyway; this one needs no round trip for every row.
            billing: Billing { clock: Clock::manual(now), ..billing.clone() },
            caller: Caller::operator(organization),
            folder,
            progress,
            report,
            stands: false,
            plans: Names::default(),
            partners: Names::default(),
            customers: Names::default(),
            subscriptions: Names::default(),
        }
    }

    /// Loads the external ids that the folder's files can name.
    pub async fn load_names(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let organization = self.caller.organization;
        let reads = |files: &[File]| files.iter().any(|file| self.folder.has(*file));
        store::plans(conn, organization, &mut self.plans).await?;
        store::partners(conn, organization, &mut self.partners).await?;
        if reads(&[File::Customers, File::Subscriptions, File::RetailPrices]) {
            store::customers(conn, organization, &mut self.customers).await?;
        }
        if reads(&[File::Subscriptions, File::SeatChanges]) {
            store::subscriptions(conn, organization, &mut self.subscriptions).await?;
        }
        Ok(())
    }

    /// Opens a file; none when it is not there, or refused for its header.
    pub fn open(&mut self, file: File) -> Result<Option<Table>, ImportError> {
        let Some((source, bytes)) = self.folder.read(file)? else { return Ok(None) };
        self.report.begin(file);
        match Table::open(file, source, bytes).map_err(|error| unreadable(file, error))? {
            Ok(table) => Ok(Some(table)),
            Err(reason) => {
                self.report.refuse(file.name(), reason);
                self.lose(file);
                Ok(None)
            }
        }
    }

    /// Whoever names what such a file was to make depends on it.
    fn lose(&mut self, file: File) {
        match file {
            File::Plans => self.plans.lose(),
            File::Partners => self.partners.lose(),
            File::Customers => self.customers.lose(),
            File::Subscriptions => self.subscriptions.lose(),
            _ => {}
        }
    }

    /// Counts a line, and says what stands now.
    pub fn note<T>(&mut self, file: File, line: u64, outcome: Result<Put<T>, Stop>) -> Result<Option<T>, ImportError> {
        self.report.note(file, line, outcome)
    }

    /// # Errors
    /// [`Stop::Depends`] without an organization.
    pub fn ready(&self) -> Result<(), Stop> {
        if self.stands { Ok(()) } else { Err(Stop::Depends) }
    }

    /// Tells about the progress now and then.
    pub fn tell(&self, table: &Table) {
        let (rows, estimate) = table.progress();
        if rows.is_multiple_of(TELL_EVERY) {
            (self.progress)(table.file.name(), rows, estimate);
        }
    }

    /// Tells that a file is done.
    pub fn done(&self, table: &Table) {
        let (rows, _) = table.progress();
        (self.progress)(table.file.name(), rows, rows);
    }

    pub fn close(mut self) -> Report {
        self.report.sort();
        self.report
    }
}

/// Reads the next row.
pub fn next(table: &mut Table) -> Result<Option<Line<'_>>, ImportError> {
    let file = table.file;
    table.next().map_err(|error| unreadable(file, error))
}

/// Reads a row into what it says.
pub fn parsed<T>(line: &Line<'_>, parse: fn(&super::table::Cells<'_>) -> Result<T, BadCell>) -> Result<T, BadCell> {
    parse(&line.cells()?)
}

fn unreadable(file: File, error: std::io::Error) -> ImportError {
    ImportError::Unreadable { name: file.name().to_owned(), error }
}
