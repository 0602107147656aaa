//! `avance run`: a month is looked at, drafted or finalized.

use billing::invoicing::documents::{BillingRun, Invoice};
use billing::invoicing::run::{self, Goal};
use billing::invoicing::{self, Computed, InvoiceFilter};
use billing::organizations;
use billing::partners;
use billing::{Billing, Caller, Page, Refusal};
use billing_primitives::{InvoiceId, Money, Month, OrganizationId, PartnerId};
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Output, Table};
use super::session::{OrganizationFlag, with_billing};
use super::{Failure, progress};
use crate::config::Config;

/// What can be run.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// One aggregated invoice for each partner
    Wholesale(WholesaleArgs),
}

/// Which month, and how far.
#[derive(Debug, clap::Args)]
pub struct WholesaleArgs {
    #[command(flatten)]
    organization: OrganizationFlag,
    /// The month, such as 2026-10
    #[arg(long)]
    month: Month,
    /// Compute and print, write nothing
    #[arg(long, conflicts_with = "finalize")]
    dry_run: bool,
    /// Compute for this partner alone (external id or id)
    #[arg(long, value_name = "NAME", requires = "dry_run")]
    partner: Option<String>,
    /// Give numbers and post to the ledger: these documents never change again. Without it, drafts are made
    #[arg(long)]
    finalize: bool,
}

/// # Errors
/// Refusals, also of single partners, and faults.
pub async fn run(config: &Config, command: RunCommand, output: Output) -> Result<(), Failure> {
    let RunCommand::Wholesale(args) = command;
    if args.dry_run { dry_run(config, &args, output).await } else { wet_run(config, &args, output).await }
}

/// A partner that was left out, or whose draft cannot be finalized, and why.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Refused {
    pub partner: String,
    pub code: String,
    pub message: String,
}

/// What a run came to.
pub struct RunReport {
    pub run: BillingRun,
    pub invoices: Vec<Invoice>,
    pub refused: Vec<Refused>,
}

impl RunReport {
    pub fn text(&self) -> String {
        let run = &self.run;
        let mut text =
            format!("{}: {}, {} of {} partners\n", run.month, run.status, run.partners_done, run.partners_total);
        if !self.invoices.is_empty() {
            text.push_str(&format!("\n{}", invoices(&self.invoices)));
        }
        if !self.refused.is_empty() {
            text.push_str(&format!("\nRefused:\n{}", refused(&self.refused)));
        }
        text
    }

    pub fn json(&self) -> Value {
        let run = &self.run;
        json!({
            "run": {
                "id": run.id.to_string(), "month": run.month, "status": run.status, "issueDate": run.issue_date,
                "partnersDone": run.partners_done, "partnersTotal": run.partners_total,
            },
            "invoices": self.invoices.iter().map(invoice).collect::<Vec<_>>(),
            "refused": self.refused,
        })
    }
}

/// Walks a pass over a month and reads what it came to.
///
/// # Errors
/// Refusals of the month as a whole, and faults.
pub async fn walk(
    billing: &Billing,
    organization: OrganizationId,
    month: Month,
    goal: Goal,
    output: Output,
) -> Result<RunReport, Failure> {
    let begun = run::begin(billing, &Caller::operator(organization), month, goal).await?.into_inner();
    let whole = |count: i64| u64::try_from(count).unwrap_or_default();
    let bar = progress::bar(output, "Partners", whole(begun.partners_total));
    let ended = run::walk(billing, &begun, |run| bar.set_position(whole(run.partners_done))).await;
    bar.finish_and_clear();
    report(billing, ended?).await
}

/// Reads what a run came to.
///
/// # Errors
/// Faults of the database.
pub async fn report(billing: &Billing, run: BillingRun) -> Result<RunReport, Failure> {
    let organization = run.organization_id;
    let filter = InvoiceFilter { month: Some(run.month), ..InvoiceFilter::default() };
    let mut invoices: Vec<Invoice> = Vec::new();
    loop {
        let page = Page::new(invoices.last().map(|last| last.id), Page::<InvoiceId>::MOST);
        let slice = invoicing::invoices(billing, organization, &filter, &page).await?;
        invoices.extend(slice.items);
        if !slice.has_next {
            break;
        }
    }
    // The order of the run: partners by external id.
    invoices.sort_by_cached_key(|invoice| buyer(invoice, "externalId"));
    let refused = refusals(billing, &run).await?;
    Ok(RunReport { run, invoices, refused })
}

async fn refusals(billing: &Billing, run: &BillingRun) -> Result<Vec<Refused>, Failure> {
    let organization = run.organization_id;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = Page::new(after, Page::<PartnerId>::MOST);
        let slice = invoicing::refusals(billing, organization, run.id, &page).await?;
        let ids: Vec<PartnerId> = slice.items.iter().map(|refusal| refusal.partner_id).collect();
        let partners = partners::by_ids(billing, organization, &ids).await?;
        after = ids.last().copied();
        for refusal in slice.items {
            let partner = partners.iter().find(|partner| partner.id == refusal.partner_id);
            let partner = partner.map_or_else(|| refusal.partner_id.to_string(), |found| found.external_id.clone());
            all.push(Refused { partner, code: refusal.code, message: refusal.message });
        }
        if !slice.has_next {
            all.sort_by(|a, b| a.partner.cmp(&b.partner));
            return Ok(all);
        }
    }
}

async fn wet_run(config: &Config, args: &WholesaleArgs, output: Output) -> Result<(), Failure> {
    let goal = if args.finalize { Goal::Finalized } else { Goal::Drafts };
    let report = with_billing(config, async |billing| {
        let organization = args.organization.find(billing).await?;
        walk(billing, organization, args.month, goal, output).await
    })
    .await?;
    output.show(&report.text(), || report.json())?;
    if report.refused.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

/// One field of the buyer, as it stands on the document.
pub fn buyer(invoice: &Invoice, field: &str) -> String {
    let value = invoice.parties.get("buyer").and_then(|buyer| buyer.get(field));
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn invoices(invoices: &[Invoice]) -> Table {
    let mut table = Table::new(&[
        "number", "partner", "name", "tier", ">users", ">lines", ">net", ">VAT", ">to pay", "due", "status",
    ]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for invoice in invoices {
        table.row([
            or_dash(invoice.number.clone()),
            buyer(invoice, "externalId"),
            buyer(invoice, "name"),
            invoice.billed_tier.clone(),
            invoice.users.to_string(),
            invoice.line_count.to_string(),
            invoice.net().to_string(),
            invoice.vat().to_string(),
            invoice.gross().to_string(),
            or_dash(invoice.due_date.map(|date| date.to_string())),
            invoice.status.to_string(),
        ]);
    }
    table
}

fn refused(rows: &[Refused]) -> Table {
    let mut table = Table::new(&["partner", "code", "reason"]);
    for row in rows {
        table.row([row.partner.clone(), row.code.clone(), row.message.clone()]);
    }
    table
}

/// An amount for programs.
pub fn money(amount: Money) -> Value {
    let shown = amount.to_string();
    let decimal = shown.split_once(' ').map_or(shown.as_str(), |(decimal, _)| decimal);
    json!({ "amount": decimal, "minor": amount.minor, "currency": amount.currency })
}

/// The head of an invoice for programs.
pub fn invoice(invoice: &Invoice) -> Value {
    json!({
        "id": invoice.id.to_string(), "number": invoice.number, "status": invoice.status, "month": invoice.month,
        "partner": buyer(invoice, "externalId"), "issueDate": invoice.issue_date, "dueDate": invoice.due_date,
        "tier": invoice.billed_tier, "users": invoice.users, "discountBps": invoice.discount_bps,
        "lineCount": invoice.line_count, "net": money(invoice.net()), "vat": money(invoice.vat()),
        "gross": money(invoice.gross()),
    })
}

async fn dry_run(config: &Config, args: &WholesaleArgs, output: Output) -> Result<(), Failure> {
    let computed = with_billing(config, async |billing| {
        let organization = args.organization.find(billing).await?;
        let partner = match &args.partner {
            Some(name) => Some(find_partner(billing, organization, name).await?),
            None => None,
        };
        preview(billing, organization, args.month, partner).await
    })
    .await?;
    let all_well = computed.iter().all(|row| row.outcome.as_ref().is_ok_and(|month| month.obstacle.is_none()));
    let mut text = format!("{}: preview, nothing is written\n\n", args.month);
    text.push_str(&preview_table(&computed).to_string());
    output.show(
        &text,
        || json!({ "month": args.month, "partners": computed.iter().map(preview_json).collect::<Vec<_>>() }),
    )?;
    if all_well { Ok(()) } else { Err(Failure::Reported) }
}

async fn preview(
    billing: &Billing,
    organization: OrganizationId,
    month: Month,
    partner: Option<PartnerId>,
) -> Result<Vec<Computed>, Failure> {
    // Asked for the refusals that hold for the whole month.
    let seller = organizations::get(billing, organization).await?;
    if month < seller.billing_from {
        return Err(Refusal::MonthBeforeBilling { month, billing_from: seller.billing_from }.into());
    }
    let mut all: Vec<Computed> = Vec::new();
    loop {
        let after = all.last().map(|last| last.partner.external_id.clone());
        let page = Page::new(after, Page::<String>::MOST);
        let slice = invoicing::preview(billing, organization, month, partner, &page).await?;
        all.extend(slice.items);
        if !slice.has_next || partner.is_some() {
            return Ok(all);
        }
    }
}

async fn find_partner(billing: &Billing, organization: OrganizationId, name: &str) -> Result<PartnerId, Failure> {
    if let Some(partner) = partners::by_external_id(billing, organization, name).await? {
        return Ok(partner.id);
    }
    let id = name.parse::<PartnerId>().map_err(|_| Refusal::not_found("partner", "partner", name))?;
    Ok(id)
}

fn preview_table(computed: &[Computed]) -> Table {
    let mut table = Table::new(&["partner", "name", "tier", ">users", ">lines", ">net", ">VAT", ">to pay", "remark"]);
    for row in computed {
        let mut texts = [const { String::new() }; 9];
        texts[0].clone_from(&row.partner.external_id);
        texts[1].clone_from(&row.partner.legal_name);
        match &row.outcome {
            Err(refusal) => texts[8] = refusal.to_string(),
            Ok(month) => {
                texts[2].clone_from(&month.evaluation.billed);
                texts[3] = month.evaluation.users.to_string();
                if let Some(invoice) = &month.invoice {
                    texts[4] = invoice.lines.len().to_string();
                    texts[5] = invoice.totals.net.to_string();
                    texts[6] = invoice.totals.vat.to_string();
                    texts[7] = invoice.totals.gross.to_string();
                }
                texts[8] = remark(row);
            }
        }
        table.row(texts);
    }
    table
}

/// What keeps the documents from being finalized, or what else there is to say.
fn remark(row: &Computed) -> String {
    let Ok(month) = &row.outcome else { return String::new() };
    if let Some(obstacle) = &month.obstacle {
        return format!("not to be finalized: {obstacle}");
    }
    if let Some(open) = row.earlier_open {
        return format!("{open} has to be finalized first");
    }
    match month.credit_notes.len() {
        0 => String::new(),
        1 => "and a credit note".to_owned(),
        notes => format!("and {notes} credit notes"),
    }
}

fn preview_json(row: &Computed) -> Value {
    let partner = &row.partner.external_id;
    match &row.outcome {
        Err(refusal) => json!({
            "partner": partner, "refusal": { "code": refusal.code(), "message": refusal.to_string() },
        }),
        Ok(month) => {
            let invoice = month.invoice.as_ref().map(|invoice| {
                json!({
                    "lineCount": invoice.lines.len(), "net": money(invoice.totals.net), "vat": money(invoice.totals.vat),
                    "gross": money(invoice.totals.gross),
                })
            });
            json!({
                "partner": partner, "tier": month.evaluation.billed, "users": month.evaluation.users,
                "reason": month.evaluation.reason, "invoice": invoice, "creditNotes": month.credit_notes.len(),
                "obstacle": month.obstacle.as_ref().map(|refusal| refusal.code()), "earlierOpen": row.earlier_open,
            })
        }
    }
}
