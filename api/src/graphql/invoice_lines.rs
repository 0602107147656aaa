//! Lines of invoices. A line has no id of its own in the tables: its global id is its invoice and its number.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use async_graphql::{ComplexObject, Context, Enum, ID, Result, SimpleObject};
use billing::invoicing::draft::DraftLine;
use billing::invoicing::{self, documents};
use billing::{Page, explain};
use billing_primitives::{self as primitives, InvoiceId};

use super::catalog::Plan;
use super::customers::Customer;
use super::explain::Explanation;
use super::invoices::{Invoice, VatCategory};
use super::loaders::Rows;
use super::scalars::{Count, Money, Month};
use super::scope::Scope;

/// What a line bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "documents::LineKind")]
pub enum LineKind {
    /// What was used in the month of the invoice.
    Usage,
    /// What an earlier month turned out to cost more.
    Adjustment,
}

/// Names a line: `inl_`, the 32 hex digits of its invoice, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InvoiceLineId {
    pub invoice: InvoiceId,
    pub number: i32,
}

impl InvoiceLineId {
    pub const PREFIX: &'static str = "inl";
}

impl fmt::Display for InvoiceLineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", Self::PREFIX, self.invoice.uuid().simple(), self.number)
    }
}

/// The text names no line.
#[derive(Debug, thiserror::Error)]
#[error("not the id of an invoice line")]
pub struct NotALine;

impl FromStr for InvoiceLineId {
    type Err = NotALine;

    fn from_str(text: &str) -> Result<Self, NotALine> {
        let rest = text.strip_prefix(Self::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(NotALine)?;
        let (invoice, number) = rest.split_once('_').ok_or(NotALine)?;
        let invoice = format!("{}_{invoice}", InvoiceId::PREFIX).parse().map_err(|_| NotALine)?;
        let id = InvoiceLineId { invoice, number: number.parse().map_err(|_| NotALine)? };
        // The one spelling that Display writes: an id compares as text, too.
        if id.to_string() == text && id.number > 0 { Ok(id) } else { Err(NotALine) }
    }
}

/// What a line says, stored or not.
#[derive(Debug, Clone, SimpleObject)]
pub struct LineFacts {
    /// What it bills.
    pub kind: LineKind,
    /// The month it is for: an adjustment's lies before the invoice's.
    pub month: Month,
    /// Seats, added up over the days of the month.
    pub seat_days: Count,
    /// The list price of a seat, or a flat plan, for a whole month.
    pub unit_price: Money,
    /// Unit price x seat-days / days in month.
    pub gross: Money,
    /// The discount of the tier, in hundredths of a per cent.
    pub discount_bps: i32,
    /// What the discount comes to.
    pub discount: Money,
    /// Gross less discount, before VAT.
    pub net: Money,
    /// How it is taxed.
    pub vat_category: VatCategory,
    /// Its VAT rate in hundredths of a per cent.
    pub vat_rate_bps: i32,
}

impl From<&documents::InvoiceLine> for LineFacts {
    fn from(row: &documents::InvoiceLine) -> Self {
        let money = |minor| row.money(minor).into();
        LineFacts {
            kind: row.kind.into(),
            month: row.month.into(),
            seat_days: Count(row.seat_days),
            unit_price: money(row.unit_price_minor),
            gross: money(row.gross_minor),
            discount_bps: row.discount_bps.get(),
            discount: money(row.discount_minor),
            net: money(row.net_minor),
            vat_category: row.vat_category.into(),
            vat_rate_bps: row.vat_bps.get(),
        }
    }
}

impl LineFacts {
    /// Of a line that is computed and not stored.
    pub fn drafted(line: &DraftLine, currency: primitives::Currency) -> Self {
        let money = |minor| primitives::Money::new(minor, currency).into();
        LineFacts {
            kind: line.kind.into(),
            month: line.month.into(),
            seat_days: Count(line.seat_days),
            unit_price: money(line.unit_price),
            gross: money(line.gross),
            discount_bps: line.discount_bps.get(),
            discount: money(line.discount),
            net: money(line.net),
            vat_category: line.treatment.category.into(),
            vat_rate_bps: line.treatment.rate.get(),
        }
    }
}

/// A line of an invoice: one customer, plan and unit price.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct InvoiceLine {
    /// The global id: its invoice and its number.
    pub id: ID,
    /// Its place on the invoice, from 1.
    pub line_number: i32,
    #[graphql(flatten)]
    facts: LineFacts,
    #[graphql(skip)]
    row: Arc<documents::InvoiceLine>,
}

impl From<documents::InvoiceLine> for InvoiceLine {
    fn from(row: documents::InvoiceLine) -> Self {
        InvoiceLine {
            id: InvoiceLineId { invoice: row.invoice_id, number: row.line_number }.into(),
            line_number: row.line_number,
            facts: LineFacts::from(&row),
            row: Arc::new(row),
        }
    }
}

#[ComplexObject]
impl InvoiceLine {
    /// The invoice it stands on.
    async fn invoice(&self, ctx: &Context<'_>) -> Result<Invoice> {
        Ok(Scope::of(ctx)?.need(self.row.invoice_id).await?.into())
    }

    /// Who used it.
    async fn customer(&self, ctx: &Context<'_>) -> Result<Customer> {
        Ok(Scope::of(ctx)?.need(self.row.customer_id).await?.into())
    }

    /// What was used.
    async fn plan(&self, ctx: &Context<'_>) -> Result<Plan> {
        Ok(Scope::of(ctx)?.need(self.row.plan_id).await?.into())
    }

    /// Why it comes to its net, as it was stored when it was computed.
    async fn explanation(&self) -> Explanation {
        explain::of_line(&self.row).into()
    }
}

/// A page of an invoice's lines and one more, to know whether there is a next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinesOf {
    invoice: InvoiceId,
    after: i32,
    through: i32,
}

impl LinesOf {
    pub fn page(invoice: InvoiceId, page: &Page<i32>) -> Self {
        let after = page.after.unwrap_or(0);
        let length = i32::try_from(page.first).unwrap_or(i32::MAX).saturating_add(1);
        LinesOf { invoice, after, through: after.saturating_add(length) }
    }
}

/// One statement for all invoices of which the same page is asked for.
impl Loader<LinesOf> for Rows {
    type Value = Vec<documents::InvoiceLine>;
    type Error = Arc<billing::Error>;

    async fn load(&self, keys: &[LinesOf]) -> Result<HashMap<LinesOf, Self::Value>, Self::Error> {
        let mut pages: HashMap<(i32, i32), Vec<InvoiceId>> = HashMap::new();
        for key in keys {
            pages.entry((key.after, key.through)).or_default().push(key.invoice);
        }
        let mut lists: HashMap<LinesOf, Self::Value> = keys.iter().map(|key| (*key, Vec::new())).collect();
        for ((after, through), invoices) in pages {
            let lines = invoicing::lines_between(&self.billing, self.organization, &invoices, after, through).await?;
            for line in lines {
                lists.entry(LinesOf { invoice: line.invoice_id, after, through }).or_default().push(line);
            }
        }
        Ok(lists)
    }
}

impl Loader<InvoiceLineId> for Rows {
    type Value = documents::InvoiceLine;
    type Error = Arc<billing::Error>;

    async fn load(&self, keys: &[InvoiceLineId]) -> Result<HashMap<InvoiceLineId, Self::Value>, Self::Error> {
        let keys: Vec<(InvoiceId, i32)> = keys.iter().map(|key| (key.invoice, key.number)).collect();
        let rows = invoicing::lines_by_numbers(&self.billing, self.organization, &keys).await?;
        let named =
            |row: documents::InvoiceLine| (InvoiceLineId { invoice: row.invoice_id, number: row.line_number }, row);
        Ok(rows.into_iter().map(named).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_one_spelling() {
        let line = InvoiceLineId { invoice: InvoiceId::new(), number: 12 };
        assert_eq!(line.to_string().parse::<InvoiceLineId>().unwrap(), line);
        let hex = line.invoice.uuid().simple();
        for wrong in [
            format!("inl_{hex}"),
            format!("inl_{hex}_"),
            format!("inl_{hex}_0"),
            format!("inl_{hex}_-1"),
            format!("inl_{hex}_+1"),
            format!("inl_{hex}_01"),
            format!("inl_{hex}_9999999999"),
            format!("inv_{hex}_1"),
            format!("INL_{hex}_1"),
        ] {
            assert!(wrong.parse::<InvoiceLineId>().is_err(), "{wrong}");
        }
    }
}
