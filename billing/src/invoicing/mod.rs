//! Wholesale invoices: the month's run, its documents, and what late changes do to them.

pub(crate) mod chunk;
pub mod documents;
pub mod draft;
pub mod goodwill;
pub mod job;
pub mod late;
pub mod month;
pub mod rules;
pub mod run;
mod settle;
pub(crate) mod store;
pub mod trace;

use billing_db::Conn;
use billing_primitives::{BillingRunId, CreditNoteId, InvoiceId, Month, OrganizationId, PartnerId};

pub use chunk::Computed;
pub use store::read::InvoiceFilter;

use crate::Billing;
use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};
use crate::{organizations, partners};
use documents::{BillingRun, CreditNote, CreditNoteLine, Invoice, InvoiceLine, InvoiceVat, RunRefusal};

/// The latest month that is finalized for at least one partner.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn last_finalized_month(
    conn: &mut Conn,
    organization: OrganizationId,
) -> Result<Option<Month>, Error> {
    Ok(store::last_finalized_month(conn, organization).await?)
}

/// What the month of some partners would come to now. Writes nothing, and equals the later documents to the cent.
///
/// A page in the order of the partners' external ids, or the one partner asked for.
///
/// # Errors
/// [`Refusal::NotFound`] for the partner; faults of the database.
pub async fn preview(
    billing: &Billing,
    organization: OrganizationId,
    month: Month,
    partner: Option<PartnerId>,
    page: &Page<String>,
) -> Result<Slice<Computed>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = organizations::current(conn, organization).await?;
        let chosen = match partner {
            Some(id) => partners::store::by_ids(conn, organization.id, &[id]).await?,
            None => partners::store::list(conn, organization.id, page).await?,
        };
        if let (Some(id), true) = (partner, chosen.is_empty()) {
            return Err(Error::from(Refusal::not_found("partner", "partner", id)));
        }
        let mut computed = chunk::compute(conn, &organization, month, chosen).await?;
        for done in computed.iter_mut().filter(|done| done.finalized_through.is_some_and(|last| last >= month)) {
            done.outcome = Err(Refusal::AlreadyFinalized { number: month.to_string() });
        }
        Ok::<_, Error>(computed)
    };
    let rows = billing.db.patient().read(organization, work).await?;
    Ok(page.slice(rows))
}

macro_rules! reads {
    ($($(#[$meta:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty = $store:path $(, $page:ident)?;)*) => {$(
        $(#[$meta])*
        ///
        /// # Errors
        /// Faults of the database.
        pub async fn $name(billing: &Billing, organization: OrganizationId, $($arg: $type),*) -> Result<$out, Error> {
            let rows = billing
                .db
                .read(organization, async |conn| Ok::<_, Error>($store(conn, organization, $($arg),*).await?))
                .await?;
            Ok(reads!(@answer rows $(, $page)?))
        }
    )*};
    (@answer $rows:ident) => { $rows };
    (@answer $rows:ident, $page:ident) => { $page.slice($rows) };
}

reads! {
    /// Invoices, the ones made last first.
    invoices(filter: &InvoiceFilter, page: &Page<InvoiceId>) -> Slice<Invoice> = store::read::invoices, page;
    /// Invoices by their ids, in no order.
    invoices_by_ids(ids: &[InvoiceId]) -> Vec<Invoice> = store::read::invoices_by_ids;
    /// The invoice that bears a number.
    invoice_by_number(number: &str) -> Option<Invoice> = store::read::invoice_by_number;
    /// A page of an invoice's lines in their order.
    lines(invoice: InvoiceId, page: &Page<i32>) -> Slice<InvoiceLine> = store::read::lines, page;
    /// The first lines of several invoices, in the order of invoice and line.
    first_lines(invoices: &[InvoiceId], first: i32) -> Vec<InvoiceLine> = store::read::first_lines;
    /// The lines of several invoices behind number `after`, up to and including `through`, in the order of invoice and
    /// line.
    lines_between(invoices: &[InvoiceId], after: i32, through: i32) -> Vec<InvoiceLine> = store::read::lines_between;
    /// Lines by invoice and number, in no order.
    lines_by_numbers(keys: &[(InvoiceId, i32)]) -> Vec<InvoiceLine> = store::read::lines_by_numbers;
    /// One line of an invoice.
    line(invoice: InvoiceId, number: i32) -> Option<InvoiceLine> = store::read::line;
    /// VAT per category and rate of several invoices.
    vat_of(invoices: &[InvoiceId]) -> Vec<InvoiceVat> = store::read::vat_of;
    /// Credit notes, the ones made last first.
    credit_notes(partner: Option<PartnerId>, page: &Page<CreditNoteId>) -> Slice<CreditNote> = store::read::credit_notes, page;
    /// Credit notes by their ids, in no order.
    credit_notes_by_ids(ids: &[CreditNoteId]) -> Vec<CreditNote> = store::read::credit_notes_by_ids;
    /// The credit notes that name some invoices.
    credit_notes_of(invoices: &[InvoiceId]) -> Vec<CreditNote> = store::read::credit_notes_of;
    /// The lines of several credit notes, in the order of note and line.
    credit_lines_of(notes: &[CreditNoteId]) -> Vec<CreditNoteLine> = store::read::credit_lines_of;
    /// Runs, the latest month first.
    runs(page: &Page<Month>) -> Slice<BillingRun> = store::runs::list, page;
    /// Runs by their ids, in no order.
    runs_by_ids(ids: &[BillingRunId]) -> Vec<BillingRun> = store::runs::by_ids;
    /// The run of a month.
    run_of_month(month: Month) -> Option<BillingRun> = store::runs::by_month;
    /// The partners that a run's last pass left out, with the reason.
    refusals(run: BillingRunId, page: &Page<PartnerId>) -> Slice<RunRefusal> = store::runs::refusals, page;
}
