//! `avance invoice show`: a document as a person reads it.

use std::collections::{BTreeSet, HashMap};

use billing::invoicing::documents::{CreditNote, DocumentStatus, Invoice, InvoiceLine, InvoiceVat, Party};
use billing::payments::{self, Settlement};
use billing::{Billing, Page, Refusal, catalog, customers, invoicing};
use billing_primitives::{CustomerId, Money, PlanId};
use clap::Subcommand;
use serde_json::{Value, json};

use super::Failure;
use super::output::{Output, Table};
use super::run::{invoice as head_json, money};
use super::session::{OrganizationFlag, with_billing};
use crate::config::Config;

/// What to do with invoices.
#[derive(Debug, Subcommand)]
pub enum InvoiceCommand {
    /// Print an invoice with its lines, VAT, totals and what was paid
    Show {
        #[command(flatten)]
        organization: OrganizationFlag,
        /// The invoice's number
        number: String,
    },
}

/// # Errors
/// There is no such invoice; faults.
pub async fn run(config: &Config, command: InvoiceCommand, output: Output) -> Result<(), Failure> {
    let InvoiceCommand::Show { organization, number } = command;
    let document = with_billing(config, async |billing| read(billing, &organization, &number).await).await?;
    output.show(&document.text(), || document.json())
}

/// An invoice with everything that belongs to it.
struct Document {
    invoice: Invoice,
    lines: Vec<InvoiceLine>,
    vat: Vec<InvoiceVat>,
    settlement: Option<Settlement>,
    credit_notes: Vec<CreditNote>,
    customers: HashMap<CustomerId, String>,
    plans: HashMap<PlanId, String>,
}

async fn read(billing: &Billing, organization: &OrganizationFlag, number: &str) -> Result<Document, Failure> {
    let organization = organization.find(billing).await?;
    let invoice = invoicing::invoice_by_number(billing, organization, number).await?;
    let invoice = invoice.ok_or_else(|| Refusal::not_found("number", "invoice", number))?;
    let ids = [invoice.id];
    let mut lines: Vec<InvoiceLine> = Vec::new();
    loop {
        let page = Page::new(lines.last().map(|line| line.line_number), Page::<i32>::MOST);
        let slice = invoicing::lines(billing, organization, invoice.id, &page).await?;
        lines.extend(slice.items);
        if !slice.has_next {
            break;
        }
    }
    let customers: Vec<_> = lines.iter().map(|line| line.customer_id).collect::<BTreeSet<_>>().into_iter().collect();
    let plans: Vec<_> = lines.iter().map(|line| line.plan_id).collect::<BTreeSet<_>>().into_iter().collect();
    let customers = customers::by_ids(billing, organization, &customers).await?;
    let plans = catalog::plans::by_ids(billing, organization, &plans).await?;
    Ok(Document {
        lines,
        vat: invoicing::vat_of(billing, organization, &ids).await?,
        settlement: payments::settlements_of(billing, organization, &ids).await?.into_iter().next(),
        credit_notes: invoicing::credit_notes_of(billing, organization, &ids).await?,
        customers: customers.into_iter().map(|customer| (customer.id, customer.external_id)).collect(),
        plans: plans.into_iter().map(|plan| (plan.id, plan.external_id)).collect(),
        invoice,
    })
}

impl Document {
    fn text(&self) -> String {
        let invoice = &self.invoice;
        let day = |date: Option<billing_primitives::Date>| date.map_or_else(|| "-".to_owned(), |date| date.to_string());
        let number = invoice.number.as_deref().unwrap_or("(draft)");
        let mut text = format!("Invoice {number}, {}\n\n", invoice.status);
        for (title, name) in [("From", "seller"), ("To", "buyer")] {
            text.push_str(&format!("{title:<8}{}\n", self.party(name)));
        }
        text.push_str(&format!("{:<8}{}\n", "Month", invoice.month));
        text.push_str(&format!("{:<8}{}, due {}\n", "Issued", day(invoice.issue_date), day(invoice.due_date)));
        let (users, tier, discount) = (invoice.users, &invoice.billed_tier, invoice.discount_bps);
        text.push_str(&format!("{:<8}{tier}, {discount} discount, {users} users\n\n", "Tier"));
        text.push_str(&self.line_table().to_string());
        text.push_str(&format!("\n{}", self.total_table()));
        if let Some((rate, books)) = invoice.vat_books_rate.zip(invoice.vat_books()) {
            let date = day(invoice.vat_books_rate_date);
            text.push_str(&format!("\nVAT in the books: {books}, at {rate} of {date}\n"));
        }
        text.push_str(&self.settlement_text());
        text
    }

    fn party(&self, name: &str) -> String {
        let party = self.invoice.parties.get(name).cloned().and_then(|json| serde_json::from_value::<Party>(json).ok());
        let Some(party) = party else { return "(not readable)".to_owned() };
        let vat = party.vat_number.map(|number| format!(", VAT number {number}")).unwrap_or_default();
        let Party { name, external_id, street, postal_code, city, country, .. } = party;
        format!("{name} ({external_id}), {street}, {postal_code} {city}, {country}{vat}")
    }

    fn line_table(&self) -> Table {
        let mut table = Table::new(&[
            ">#",
            "kind",
            "month",
            "customer",
            "plan",
            ">unit price",
            ">seat-days",
            ">list amount",
            ">discount",
            ">net",
            "VAT",
        ]);
        for line in &self.lines {
            table.row([
                line.line_number.to_string(),
                line.kind.to_string(),
                line.month.to_string(),
                self.customer(line).to_owned(),
                self.plan(line).to_owned(),
                line.money(line.unit_price_minor).to_string(),
                line.seat_days.to_string(),
                line.money(line.gross_minor).to_string(),
                line.money(line.discount_minor).to_string(),
                line.money(line.net_minor).to_string(),
                format!("{} {}", line.vat_category, line.vat_bps),
            ]);
        }
        table
    }

    fn total_table(&self) -> Table {
        let mut table = Table::new(&["totals", ">"]);
        table.row(["net".to_owned(), self.invoice.net().to_string()]);
        for vat in &self.vat {
            let money = |minor| Money::new(minor, vat.currency);
            let (taxable, tax) = (money(vat.taxable_minor), money(vat.tax_minor));
            table.row([format!("VAT {} {} of {taxable}", vat.vat_category, vat.vat_bps), tax.to_string()]);
        }
        table.row(["to pay".to_owned(), self.invoice.gross().to_string()]);
        table
    }

    fn settlement_text(&self) -> String {
        let Some(settlement) = &self.settlement else {
            return if self.invoice.status == DocumentStatus::Draft { "\nA draft: it may change.\n" } else { "" }
                .to_owned();
        };
        let mut table = Table::new(&["payment", &format!(">{}", settlement.status)]);
        for (name, amount) in [
            ("credited", settlement.credited),
            ("paid", settlement.paid),
            ("rounding", settlement.rounding),
            ("due", settlement.due),
        ] {
            table.row([name.to_owned(), amount.to_string()]);
        }
        let mut text = format!("\n{table}");
        for note in &self.credit_notes {
            let number = note.number.as_deref().unwrap_or("(draft)");
            let amount = Money::new(note.gross_total_minor, note.currency);
            text.push_str(&format!("\nCredit note {number}: {amount}, {}\n", note.reason));
        }
        text
    }

    fn customer(&self, line: &InvoiceLine) -> &str {
        self.customers.get(&line.customer_id).map_or("", String::as_str)
    }

    fn plan(&self, line: &InvoiceLine) -> &str {
        self.plans.get(&line.plan_id).map_or("", String::as_str)
    }

    fn json(&self) -> Value {
        let lines = self.lines.iter().map(|line| {
            json!({
                "number": line.line_number, "kind": line.kind, "month": line.month, "customer": self.customer(line),
                "plan": self.plan(line), "unitPrice": money(line.money(line.unit_price_minor)),
                "seatDays": line.seat_days, "listAmount": money(line.money(line.gross_minor)),
                "discountBps": line.discount_bps, "discount": money(line.money(line.discount_minor)),
                "net": money(line.money(line.net_minor)), "vatCategory": line.vat_category, "vatBps": line.vat_bps,
            })
        });
        let vat = self.vat.iter().map(|vat| {
            let amount = |minor| money(Money::new(minor, vat.currency));
            json!({
                "category": vat.vat_category, "bps": vat.vat_bps, "taxable": amount(vat.taxable_minor),
                "tax": amount(vat.tax_minor),
            })
        });
        let notes = self.credit_notes.iter().map(|note| {
            let gross = money(Money::new(note.gross_total_minor, note.currency));
            json!({ "number": note.number, "status": note.status, "reason": note.reason, "gross": gross })
        });
        let settlement = self.settlement.as_ref().map(|settlement| {
            json!({
                "status": settlement.status, "credited": money(settlement.credited), "paid": money(settlement.paid),
                "rounding": money(settlement.rounding), "due": money(settlement.due),
            })
        });
        json!({
            "invoice": head_json(&self.invoice),
            "seller": self.invoice.parties.get("seller"),
            "buyer": self.invoice.parties.get("buyer"),
            "lines": lines.collect::<Vec<_>>(),
            "vat": vat.collect::<Vec<_>>(),
            "vatInBooks": self.invoice.vat_books().map(money),
            "settlement": settlement,
            "creditNotes": notes.collect::<Vec<_>>(),
        })
    }
}
