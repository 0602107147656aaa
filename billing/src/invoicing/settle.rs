//! From computed months to stored documents: drafts that are right stay, others are replaced, and when the pass
//! finalizes, numbers are taken and everything that follows from a document is written with it.

use std::collections::HashMap;

use billing_db::Conn;
use billing_ledger::Posting;
use billing_primitives::{BillingRunId, CreditNoteId, Date, InvoiceId, PartnerId, Timestamp};
use uuid::Uuid;

use super::chunk::Computed;
use super::documents::{BillingRun, CreditReason, DocumentStatus};
use super::draft::{CreditNoteDraft, InvoiceDraft, finalized_hash};
use super::month::PartnerMonth;
use super::store;
use super::store::finalize::{FinalInvoice, Series};
use super::store::write::{InvoiceToStore, NoteToStore, Standing};
use crate::chart;
use crate::error::{Error, Refusal};
use crate::organizations::{Organization, TermsFrom};
use crate::partners::Partner;
use crate::payments::{self, Credited, NewSettlement};
use crate::payouts;
use crate::tiers::{self, TierEvaluation};

/// What a chunk is written under.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    pub organization: &'a Organization,
    pub run: &'a BillingRun,
    pub now: Timestamp,
    /// The issue date, when the pass finalizes.
    pub finalize_on: Option<Date>,
}

/// A document with its place in the tables.
struct Placed<Id> {
    id: Id,
    content_hash: String,
    /// Whether it has to be written: false when the same draft stands already.
    write: bool,
}

/// A partner's month that goes into the books or stays a draft.
struct Ready {
    partner: Partner,
    month: PartnerMonth,
    invoice: Option<Placed<InvoiceId>>,
    /// Beside `month.credit_notes`.
    notes: Vec<Placed<CreditNoteId>>,
    finalize: bool,
}

/// Writes what a chunk of partners comes to.
///
/// # Errors
/// Faults of the database.
pub async fn write(conn: &mut Conn, step: Step<'_>, computed: Vec<Computed>) -> Result<(), Error> {
    let month = step.run.month;
    // A month that is finalized for a partner is never reopened.
    let open: Vec<Computed> =
        computed.into_iter().filter(|done| done.finalized_through.is_none_or(|through| through < month)).collect();
    let partners: Vec<PartnerId> = open.iter().map(|done| done.partner.id).collect();
    if partners.is_empty() {
        return Ok(());
    }
    let mut refusals = Vec::new();
    let mut ready = Vec::with_capacity(open.len());
    for done in open {
        let id = done.partner.id;
        let obstacle = obstacle(step, &done);
        if let Some(refusal) = &obstacle {
            refusals.push((id, refusal.clone()));
        }
        if let Ok(month) = done.outcome {
            let finalize = step.finalize_on.is_some() && obstacle.is_none();
            ready.push(Ready { partner: done.partner, month, invoice: None, notes: Vec::new(), finalize });
        }
    }
    write_drafts(conn, step, &partners, &mut ready).await?;
    store::runs::replace_refusals(conn, step.run, &partners, &refusals).await?;
    if let Some(issue_date) = step.finalize_on {
        ready.retain(|ready| ready.finalize);
        finalize(conn, step, issue_date, &ready).await?;
    }
    Ok(())
}

/// Why a partner is left out of the pass, or will be when it comes to finalizing.
fn obstacle(step: Step<'_>, done: &Computed) -> Option<Refusal> {
    match &done.outcome {
        Err(refusal) => Some(refusal.clone()),
        Ok(month) => {
            let order = done.earlier_open.filter(|_| step.finalize_on.is_some());
            order.map(|open| Refusal::EarlierMonthOpen { open }).or_else(|| month.obstacle.clone())
        }
    }
}

/// Brings the stored drafts of these partners to what was computed; those that are right already are left alone.
async fn write_drafts(
    conn: &mut Conn,
    step: Step<'_>,
    partners: &[PartnerId],
    ready: &mut [Ready],
) -> Result<(), Error> {
    let (organization, run) = (step.organization.id, step.run);
    let mut invoices = Standings::of(store::write::standing_invoices(conn, organization, partners, run.month).await?);
    let mut notes = Standings::of(store::write::standing_credit_notes(conn, organization, run.id, partners).await?);
    for ready in ready.iter_mut() {
        let partner = ready.partner.id.uuid();
        let place = |draft: &InvoiceDraft| invoices.place(partner, draft.content_hash(), InvoiceId::new);
        ready.invoice = ready.month.invoice.as_ref().map(place);
        let place =
            |draft: &CreditNoteDraft| notes.place(draft.invoice.uuid(), draft.content_hash(), CreditNoteId::new);
        ready.notes = ready.month.credit_notes.iter().map(place).collect();
    }
    store::write::delete_invoices(conn, organization, &invoices.stale()).await?;
    store::write::delete_credit_notes(conn, organization, &notes.stale()).await?;
    let new_invoices: Vec<InvoiceToStore<'_>> = ready.iter().filter_map(invoice_to_store).collect();
    store::write::insert_invoices(conn, organization, run.id, step.now, &new_invoices).await?;
    let new_notes: Vec<NoteToStore<'_>> = ready.iter().flat_map(|ready| notes_to_store(ready, run.id)).collect();
    store::write::insert_credit_notes(conn, organization, step.now, &new_notes).await?;
    Ok(())
}

fn invoice_to_store(ready: &Ready) -> Option<InvoiceToStore<'_>> {
    let placed = ready.invoice.as_ref().filter(|placed| placed.write)?;
    let draft = ready.month.invoice.as_ref()?;
    Some(InvoiceToStore { id: placed.id, draft, content_hash: &placed.content_hash })
}

fn notes_to_store(ready: &Ready, run: BillingRunId) -> impl Iterator<Item = NoteToStore<'_>> {
    let placed = ready.notes.iter().zip(&ready.month.credit_notes).filter(|(placed, _)| placed.write);
    placed.map(move |(placed, draft)| NoteToStore {
        id: placed.id,
        run: Some(run),
        reason: CreditReason::Correction,
        draft,
        content_hash: placed.content_hash.clone(),
    })
}

/// The drafts that stand, by whom or what they are for; what nobody asks for is stale in the end.
struct Standings<Id> {
    by_subject: HashMap<Uuid, Standing<Id>>,
    replaced: Vec<Id>,
}

impl<Id: Copy> Standings<Id> {
    fn of(standing: Vec<Standing<Id>>) -> Self {
        let by_subject = standing.into_iter().map(|standing| (standing.of, standing)).collect();
        Standings { by_subject, replaced: Vec::new() }
    }

    /// A draft that changed is written again under the id it had.
    fn place(&mut self, subject: Uuid, content_hash: String, new_id: impl FnOnce() -> Id) -> Placed<Id> {
        let Some(standing) = self.by_subject.remove(&subject) else {
            return Placed { id: new_id(), content_hash, write: true };
        };
        let write = standing.content_hash != content_hash;
        if write {
            self.replaced.push(standing.id);
        }
        Placed { id: standing.id, content_hash, write }
    }

    fn stale(self) -> Vec<Id> {
        let unwanted = self.by_subject.into_values().filter(|standing| standing.status == DocumentStatus::Draft);
        self.replaced.into_iter().chain(unwanted.map(|standing| standing.id)).collect()
    }
}

/// Takes numbers and writes everything that follows from a finalized document, in the order of the partners.
async fn finalize(conn: &mut Conn, step: Step<'_>, issue_date: Date, ready: &[Ready]) -> Result<(), Error> {
    let (organization, month) = (step.organization, step.run.month);
    let evaluations: Vec<TierEvaluation> = ready.iter().map(|ready| evaluation(step, ready)).collect();
    tiers::insert_evaluations(conn, organization.id, &evaluations).await?;
    let finalized = finalize_invoices(conn, step, issue_date, ready).await?;
    let mut postings = finalized.postings;
    let notes = finalize_notes(conn, step, issue_date, ready).await?;
    postings.extend(notes.postings);
    billing_ledger::post(conn, organization.id, &postings).await?;
    payments::opened(conn, organization.id, issue_date, &finalized.settlements).await?;
    payouts::credits::apply(conn, organization.id, issue_date, step.now, &finalized.settlements).await?;
    payments::credited(conn, organization.id, issue_date, &notes.credited).await?;
    store::finalize::record_finalized(conn, organization.id, "invoice.finalized", &finalized.events).await?;
    store::finalize::record_finalized(conn, organization.id, "credit_note.finalized", &notes.events).await?;
    let partners: Vec<PartnerId> = ready.iter().map(|ready| ready.partner.id).collect();
    store::late::settle_marks(conn, organization.id, &partners, month).await?;
    Ok(())
}

fn evaluation(step: Step<'_>, ready: &Ready) -> TierEvaluation {
    let evaluation = &ready.month.evaluation;
    TierEvaluation {
        organization_id: step.organization.id,
        partner_id: ready.partner.id,
        month: step.run.month,
        tier_table_id: ready.month.table,
        users: evaluation.users,
        measured_tier: evaluation.measured.clone(),
        billed_tier: evaluation.billed.clone(),
        discount_bps: evaluation.discount,
        reason: evaluation.reason,
        months_below: evaluation.months_below,
        created_at: step.now,
    }
}

#[derive(Default)]
struct FinalizedInvoices {
    postings: Vec<Posting>,
    settlements: Vec<NewSettlement>,
    events: Vec<(String, serde_json::Value)>,
}

async fn finalize_invoices(
    conn: &mut Conn,
    step: Step<'_>,
    issue_date: Date,
    ready: &[Ready],
) -> Result<FinalizedInvoices, Error> {
    let organization = step.organization;
    let invoices = ready.iter().filter_map(|r| Some((&r.partner, r.invoice.as_ref()?, r.month.invoice.as_ref()?)));
    let invoices: Vec<_> = invoices.collect();
    let mut done = FinalizedInvoices::default();
    if invoices.is_empty() {
        return Ok(done);
    }
    let first = store::finalize::take_numbers(conn, organization.id, Series::Invoice, invoices.len()).await?;
    let mut rows = Vec::with_capacity(invoices.len());
    for ((partner, placed, draft), number) in invoices.into_iter().zip(first..) {
        let number = document_number(&organization.invoice_prefix, number);
        let due_date = due_date(organization, partner, issue_date);
        let content_hash = finalized_hash(&placed.content_hash, &number, issue_date, Some(due_date));
        done.postings.push(chart::invoice_finalized(
            placed.id,
            partner.id,
            issue_date,
            draft.totals.net,
            draft.totals.vat,
        ));
        done.settlements.push(NewSettlement {
            invoice: placed.id,
            partner: partner.id,
            gross: draft.totals.gross,
            due_date,
            issue_date,
            number: number.clone(),
        });
        done.events.push((placed.id.to_string(), serde_json::json!({ "number": number, "partner": partner.id })));
        rows.push(FinalInvoice { id: placed.id, number, issue_date, due_date, content_hash });
    }
    store::finalize::finalize_invoices(conn, organization.id, step.now, &rows).await?;
    Ok(done)
}

#[derive(Default)]
struct FinalizedNotes {
    postings: Vec<Posting>,
    credited: Vec<Credited>,
    events: Vec<(String, serde_json::Value)>,
}

async fn finalize_notes(
    conn: &mut Conn,
    step: Step<'_>,
    issue_date: Date,
    ready: &[Ready],
) -> Result<FinalizedNotes, Error> {
    let mut all = FinalizedNotes::default();
    for ready in ready {
        for (placed, draft) in ready.notes.iter().zip(&ready.month.credit_notes) {
            let note =
                finalize_note(conn, step.organization, step.now, issue_date, placed.id, &placed.content_hash, draft);
            let (posting, credited, event) = note.await?;
            all.postings.push(posting);
            all.credited.push(credited);
            all.events.push(event);
        }
    }
    Ok(all)
}

/// Numbers a stored draft of a credit note; what has to be posted, settled and told comes back.
///
/// # Errors
/// Faults of the database.
pub async fn finalize_note(
    conn: &mut Conn,
    organization: &Organization,
    now: Timestamp,
    issue_date: Date,
    id: CreditNoteId,
    content_hash: &str,
    draft: &CreditNoteDraft,
) -> Result<(Posting, Credited, (String, serde_json::Value)), Error> {
    let number = store::finalize::take_numbers(conn, organization.id, Series::CreditNote, 1).await?;
    let number = document_number(&organization.credit_note_prefix, number);
    let hash = finalized_hash(content_hash, &number, issue_date, None);
    store::finalize::finalize_credit_note(conn, organization.id, now, id, &number, issue_date, &hash).await?;
    let posting = chart::credit_note_finalized(id, draft.partner, issue_date, draft.totals.net, draft.totals.vat);
    let credited = Credited { note: id, invoice: draft.invoice, partner: draft.partner, gross: draft.totals.gross };
    let payload = serde_json::json!({ "number": number, "invoice": draft.invoice, "partner": draft.partner });
    Ok((posting, credited, (id.to_string(), payload)))
}

/// A number of a series: six digits at least, so that numbers sort as text for a long time.
fn document_number(prefix: &str, number: i64) -> String {
    format!("{prefix}{number:06}")
}

/// Issue date plus the days of the partner's terms (or the organization's), or the end of its month plus these days.
fn due_date(organization: &Organization, partner: &Partner, issue_date: Date) -> Date {
    let (days, from) = match (partner.payment_terms_days, partner.payment_terms_from) {
        (Some(days), Some(from)) => (days, from),
        _ => (organization.payment_terms_days, organization.payment_terms_from),
    };
    match from {
        TermsFrom::IssueDate => issue_date.plus_days(days),
        TermsFrom::EndOfMonth => issue_date.month().last().plus_days(days),
    }
}
