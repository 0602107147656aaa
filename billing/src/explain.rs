//! Every amount explains itself: the tree it came from, read from what was stored when it was computed.

mod commissions;
mod payouts;

use billing_primitives::{CreditNoteId, InvoiceId, Money, OrganizationId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Refusal};
use crate::invoicing::documents::{CreditNote, CreditNoteLine, Invoice, InvoiceLine, InvoiceVat, LineKind};
use crate::{Billing, invoicing};

pub use commissions::{commission, commission_entry, of_commission, of_entry};
pub use payouts::{of_payout, of_statement, payout, statement};

/// One step of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What this is, such as "net of line 3".
    pub label: String,
    pub amount: Option<Money>,
    /// How the amount follows from the inputs.
    pub formula: Option<String>,
    /// The exact value before rounding, in minor units, as a fraction.
    pub exact: Option<String>,
    /// Golden rules that apply.
    pub rules: Vec<String>,
    /// Names and values the formula was given; ids where the value is an object.
    pub inputs: Vec<Input>,
    pub parts: Vec<Explanation>,
}

/// One input of a formula.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub value: String,
}

impl Explanation {
    fn new(label: impl Into<String>, amount: Option<Money>) -> Self {
        let label = label.into();
        Explanation {
            label,
            amount,
            formula: None,
            exact: None,
            rules: Vec::new(),
            inputs: Vec::new(),
            parts: Vec::new(),
        }
    }

    fn formula(mut self, formula: impl Into<String>) -> Self {
        self.formula = Some(formula.into());
        self
    }

    fn exact(mut self, exact: &Value) -> Self {
        self.exact = exact.as_str().map(str::to_owned);
        self
    }

    fn rule(mut self, rules: &[&str]) -> Self {
        self.rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        self
    }

    fn input(mut self, name: &str, value: impl ToString) -> Self {
        self.inputs.push(Input { name: name.to_owned(), value: value.to_string() });
        self
    }

    fn part(mut self, part: Explanation) -> Self {
        self.parts.push(part);
        self
    }
}

/// Why an invoice comes to its gross total.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn invoice(billing: &Billing, organization: OrganizationId, id: InvoiceId) -> Result<Explanation, Error> {
    let found = invoicing::invoices_by_ids(billing, organization, &[id]).await?.into_iter().next();
    let invoice = found.ok_or_else(|| Refusal::not_found("id", "invoice", id))?;
    let vat = invoicing::vat_of(billing, organization, &[id]).await?;
    Ok(of_invoice(&invoice, &vat))
}

/// Why a line of an invoice comes to its net.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn line(
    billing: &Billing,
    organization: OrganizationId,
    invoice: InvoiceId,
    number: i32,
) -> Result<Explanation, Error> {
    let found = invoicing::line(billing, organization, invoice, number).await?;
    let line = found.ok_or_else(|| Refusal::not_found("id", "invoice line", format!("{invoice} {number}")))?;
    Ok(of_line(&line))
}

/// Why a credit note comes to its gross total.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn credit_note(
    billing: &Billing,
    organization: OrganizationId,
    id: CreditNoteId,
) -> Result<Explanation, Error> {
    let found = invoicing::credit_notes_by_ids(billing, organization, &[id]).await?.into_iter().next();
    let note = found.ok_or_else(|| Refusal::not_found("id", "credit note", id))?;
    let lines = invoicing::credit_lines_of(billing, organization, &[id]).await?;
    Ok(of_credit_note(&note, &lines))
}

/// The tree of an invoice: net and VAT, the tier behind the discount.
pub fn of_invoice(invoice: &Invoice, vat: &[InvoiceVat]) -> Explanation {
    let net = Explanation::new("net total", Some(invoice.net()))
        .formula("sum of the nets of the lines")
        .input("lines", invoice.line_count)
        .part(of_tier(&invoice.trace["tier"]));
    let taxes = vat.iter().map(|total| {
        let tax = Money::new(total.tax_minor, total.currency);
        Explanation::new(format!("VAT {} {}", total.vat_category, total.vat_bps), Some(tax))
            .formula("round(taxable × rate / 10000), once per category and rate")
            .exact(vat_step(&invoice.trace, total))
            .rule(&["R1", "R4"])
            .input("taxable", Money::new(total.taxable_minor, total.currency))
            .input("rateBps", total.vat_bps.get())
    });
    let mut whole = Explanation::new("gross total", Some(invoice.gross()))
        .formula("net total + VAT total")
        .rule(&["R4"])
        .input("invoice", invoice.number.clone().unwrap_or_else(|| invoice.id.to_string()))
        .input("month", invoice.month)
        .part(net);
    whole.parts.extend(taxes);
    if let (Some(books), Some(rate), Some(date)) =
        (invoice.vat_books(), invoice.vat_books_rate, invoice.vat_books_rate_date)
    {
        let converted = Explanation::new("VAT for the books", Some(books))
            .formula("round(VAT total × rate), once")
            .rule(&["R1", "R4"])
            .input("vatTotal", invoice.vat())
            .input("rate", rate)
            .input("rateDate", date);
        whole.parts.push(converted);
    }
    whole
}

/// The exact VAT of a category and rate, as it was written down when it was computed.
fn vat_step<'a>(trace: &'a Value, total: &InvoiceVat) -> &'a Value {
    let steps = trace["vat"].as_array().map_or(&[][..], Vec::as_slice);
    let of_total =
        |step: &&Value| step["category"] == total.vat_category.as_str() && step["taxable"] == total.taxable_minor;
    steps.iter().find(of_total).map_or(&Value::Null, |step| &step["exact"])
}

fn of_tier(trace: &Value) -> Explanation {
    let tiers = trace["tiers"].as_array().cloned().unwrap_or_default();
    let told = tiers.iter().map(|tier| format!("{} from {} users", plain(&tier["code"]), tier["fromUsers"]));
    let mut tier = Explanation::new(format!("tier {} by {}", plain(&trace["billed"]), plain(&trace["reason"])), None)
        .formula("the pinned tier, else the measured one if it is not lower, else the last one within its grace, else the measured one")
        .rule(&["R2", "R11"])
        .input("users", &trace["users"])
        .input("measured", plain(&trace["measured"]))
        .input("billed", plain(&trace["billed"]))
        .input("discountBps", &trace["discountBps"])
        .input("monthsBelow", &trace["monthsBelow"])
        .input("graceMonths", &trace["graceMonths"])
        .input("tierTable", plain(&trace["table"]))
        .input("tiers", told.collect::<Vec<_>>().join(", "));
    if let Some(previous) = trace["previous"].as_object() {
        tier = tier.input("lastMonthBilled", plain(previous.get("billed").unwrap_or(&Value::Null)));
    }
    if let Some(pin) = trace["pin"].as_str() {
        tier = tier.input("pin", pin);
    }
    tier
}

/// The tree of a line: days, seats and prices, gross and discount.
pub fn of_line(line: &InvoiceLine) -> Explanation {
    let label = format!("net of line {}", line.line_number);
    let net = Explanation::new(label, Some(line.money(line.net_minor)))
        .input("customer", line.customer_id)
        .input("plan", line.plan_id)
        .input("month", line.month);
    match line.kind {
        LineKind::Usage => {
            let amounts = [line.unit_price_minor, line.gross_minor, line.discount_minor].map(|minor| line.money(minor));
            of_usage(net, &line.trace, amounts, line.seat_days, i64::from(line.discount_bps.get()))
        }
        LineKind::Adjustment => of_correction(net, &line.trace, line.money(0)),
    }
}

fn of_usage(
    net: Explanation,
    trace: &Value,
    [unit_price, gross, discount]: [Money; 3],
    seat_days: i64,
    discount_bps: i64,
) -> Explanation {
    let pieces = trace["pieces"].as_array().cloned().unwrap_or_default();
    let days = Explanation::new("seat-days", None).formula("sum over the days of the seats held").rule(&["R3"]);
    let days = pieces.iter().fold(days.input("seatDays", seat_days), |days, piece| {
        let value = format!("{} seats, prices of {}", piece["seats"], plain(&piece["priceListVersion"]));
        days.input(&format!("{}..{}", plain(&piece["from"]), plain(&piece["to"])), value)
    });
    let gross = Explanation::new("gross", Some(gross))
        .formula("round(unit price × seat-days / days in month)")
        .exact(&trace["exactGross"])
        .rule(&["R1", "R3"])
        .input("unitPrice", unit_price)
        .input("daysInMonth", &trace["days"])
        .part(days);
    let discount = Explanation::new("discount", Some(discount))
        .formula("round(gross × discount / 10000)")
        .exact(&trace["exactDiscount"])
        .rule(&["R1", "R2"])
        .input("discountBps", discount_bps);
    net.formula("gross - discount").rule(&["R2"]).part(gross).part(discount)
}

/// A correction compares what a month is rated at now with what was invoiced for it.
fn of_correction(net: Explanation, trace: &Value, zero: Money) -> Explanation {
    let money = |value: &Value| Money { minor: value.as_i64().unwrap_or_default(), ..zero };
    let (rated, so_far) = (money(&trace["rated"]), money(&trace["invoicedSoFar"]));
    let mut rating = Explanation::new("the month as rated now", Some(rated));
    if trace["rating"].is_object() {
        let bps = trace["discountBps"].as_i64().unwrap_or_default();
        let exact = |name: &str| trace["rating"][name].as_str().map(str::to_owned).unwrap_or_default();
        let seat_days = trace["seatDays"].as_i64().unwrap_or_default();
        rating = rating
            .formula("gross - discount, at the month's prices and billed tier")
            .input("unitPrice", money(&trace["unitPrice"]))
            .input("seatDays", seat_days)
            .input("discountBps", bps)
            .input("exactGross", exact("exactGross"))
            .input("exactDiscount", exact("exactDiscount"));
    }
    let before =
        Explanation::new("invoiced so far", Some(so_far)).formula("lines and adjustments less CORRECTION credit notes");
    net.formula("the month as rated now - invoiced so far").rule(&["R3", "R10"]).part(rating).part(before)
}

/// The tree of a credit note: its lines, each with what it takes back and why, and VAT from its own net.
pub fn of_credit_note(note: &CreditNote, lines: &[CreditNoteLine]) -> Explanation {
    let money = |minor| Money::new(minor, note.currency);
    let credited = lines.iter().map(|line| {
        let label = format!("of line {} of {}", line.invoice_line_number, line.invoice_id);
        let net = Explanation::new(label, Some(Money::new(line.net_minor, line.currency)));
        if line.trace["invoicedSoFar"].is_i64() {
            return of_correction(net, &line.trace, money(0))
                .formula("what is invoiced beyond the month as rated now, at most what is left of the line");
        }
        net.formula("given up by hand, at most what is left of the line")
            .rule(&["R10"])
            .input("lineNet", &line.trace["lineNet"])
            .input("leftBefore", &line.trace["leftBefore"])
    });
    let net = Explanation::new("net total", Some(money(note.net_total_minor))).formula("sum of the lines");
    let net = credited.fold(net, Explanation::part);
    let vat = Explanation::new("VAT total", Some(money(note.vat_total_minor)))
        .formula("round(taxable × rate / 10000), once per category and rate of this note")
        .rule(&["R4", "R10"])
        .input("steps", &note.trace["vat"]);
    Explanation::new("gross total", Some(money(note.gross_total_minor)))
        .formula("net total + VAT total")
        .rule(&["R10"])
        .input("creditNote", note.number.clone().unwrap_or_else(|| note.id.to_string()))
        .input("invoice", note.invoice_id)
        .part(net)
        .part(vat)
}

/// A JSON text without its quotes; anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
