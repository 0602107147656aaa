//! Invoices, credit notes and runs as they are stored and read.

use billing_primitives::{
    BasisPoints, BillingRunId, CreditNoteId, Currency, CustomerId, Date, ExchangeRate, InvoiceId, Money, Month,
    OrganizationId, PartnerId, PlanId, Timestamp, text_enum,
};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::organizations::Organization;
use crate::partners::Partner;
use crate::vat::{VatCategory, VatTreatment};

text_enum! {
    /// A draft may change, a finalized document never does.
    pub enum DocumentStatus { Draft = "DRAFT", Finalized = "FINALIZED" }
}

text_enum! {
    pub enum LineKind {
        /// What was used in the month of the invoice.
        Usage = "USAGE",
        /// What an earlier month turned out to cost more.
        Adjustment = "ADJUSTMENT",
    }
}

text_enum! {
    pub enum CreditReason {
        /// A month turned out to cost less than was invoiced.
        Correction = "CORRECTION",
        /// Granted by hand; never billed back.
        Goodwill = "GOODWILL",
    }
}

text_enum! {
    /// Where a run stands. Each word that ends in -ing is a pass under way.
    pub enum RunStatus {
        Drafting = "DRAFTING",
        Drafted = "DRAFTED",
        Finalizing = "FINALIZING",
        Finalized = "FINALIZED",
    }
}

/// One month's wholesale run.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::billing_run)]
pub struct BillingRun {
    pub organization_id: OrganizationId,
    pub id: BillingRunId,
    pub month: Month,
    pub status: RunStatus,
    /// Counts the walks over the partners.
    pub pass: i32,
    /// External id of the last partner done in this pass.
    pub done_through: String,
    pub partners_done: i64,
    pub partners_total: i64,
    /// Fixed when finalizing begins.
    pub issue_date: Option<Date>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A partner that the last pass left out.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::billing_run_refusal)]
pub struct RunRefusal {
    pub billing_run_id: BillingRunId,
    pub partner_id: PartnerId,
    pub code: String,
    pub message: String,
}

/// A partner's month.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::invoice)]
pub struct Invoice {
    pub organization_id: OrganizationId,
    pub id: InvoiceId,
    pub billing_run_id: BillingRunId,
    pub partner_id: PartnerId,
    pub month: Month,
    pub status: DocumentStatus,
    pub number: Option<String>,
    pub issue_date: Option<Date>,
    pub due_date: Option<Date>,
    pub currency: Currency,
    pub net_total_minor: i64,
    pub vat_total_minor: i64,
    pub gross_total_minor: i64,
    pub vat_books_minor: Option<i64>,
    pub vat_books_currency: Option<Currency>,
    pub vat_books_rate: Option<ExchangeRate>,
    pub vat_books_rate_date: Option<Date>,
    pub users: i64,
    pub billed_tier: String,
    pub discount_bps: BasisPoints,
    pub parties: serde_json::Value,
    pub trace: serde_json::Value,
    pub line_count: i32,
    pub content_hash: String,
    pub created_at: Timestamp,
    pub finalized_at: Option<Timestamp>,
}

impl Invoice {
    pub fn net(&self) -> Money {
        Money::new(self.net_total_minor, self.currency)
    }

    pub fn vat(&self) -> Money {
        Money::new(self.vat_total_minor, self.currency)
    }

    pub fn gross(&self) -> Money {
        Money::new(self.gross_total_minor, self.currency)
    }

    /// Seller and buyer as they stand on the document.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the stored text is not what was written.
    pub fn parties(&self) -> Result<Parties, Error> {
        serde_json::from_value(self.parties.clone())
            .map_err(|error| Error::Corrupt(format!("parties of {}: {error}", self.id)))
    }

    /// The VAT total in the currency of the books.
    pub fn vat_books(&self) -> Option<Money> {
        Some(Money::new(self.vat_books_minor?, self.vat_books_currency?))
    }
}

/// Something about a document that stops nobody and that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub code: String,
    pub message: String,
}

impl Warning {
    /// Reverse charge asks for a VAT number that was checked (Directive 2006/112/EC art. 196, Regulation 282/2011 art. 18).
    pub fn of_invoice(parties: &Parties, vat: impl IntoIterator<Item = VatCategory>) -> Vec<Warning> {
        let reverse_charge = vat.into_iter().any(|category| category == VatCategory::ReverseCharge);
        if !reverse_charge || parties.buyer.vat_check.is_some() {
            return Vec::new();
        }
        let message = format!("the VAT number of partner {} has not been checked", parties.buyer.external_id);
        vec![Warning { code: "VAT_NUMBER_UNCHECKED".to_owned(), message }]
    }
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::invoice_line)]
pub struct InvoiceLine {
    pub invoice_id: InvoiceId,
    pub line_number: i32,
    pub kind: LineKind,
    pub customer_id: CustomerId,
    pub plan_id: PlanId,
    /// The month it is for: an adjustment's lies before the invoice's.
    pub month: Month,
    pub currency: Currency,
    pub unit_price_minor: i64,
    pub seat_days: i64,
    pub gross_minor: i64,
    pub discount_bps: BasisPoints,
    pub discount_minor: i64,
    pub net_minor: i64,
    pub vat_category: VatCategory,
    pub vat_bps: BasisPoints,
    pub trace: serde_json::Value,
}

impl InvoiceLine {
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }

    pub fn treatment(&self) -> VatTreatment {
        VatTreatment { category: self.vat_category, rate: self.vat_bps }
    }
}

/// VAT of one category and rate of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::invoice_vat)]
pub struct InvoiceVat {
    pub invoice_id: InvoiceId,
    pub vat_category: VatCategory,
    pub vat_bps: BasisPoints,
    pub taxable_minor: i64,
    pub tax_minor: i64,
    pub currency: Currency,
}

/// A credit note; its amounts are positive.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::credit_note)]
pub struct CreditNote {
    pub organization_id: OrganizationId,
    pub id: CreditNoteId,
    pub invoice_id: InvoiceId,
    pub partner_id: PartnerId,
    pub billing_run_id: Option<BillingRunId>,
    pub reason: CreditReason,
    pub memo: String,
    pub status: DocumentStatus,
    pub number: Option<String>,
    pub issue_date: Option<Date>,
    pub currency: Currency,
    pub net_total_minor: i64,
    pub vat_total_minor: i64,
    pub gross_total_minor: i64,
    pub vat_books_minor: Option<i64>,
    pub vat_books_currency: Option<Currency>,
    pub vat_books_rate: Option<ExchangeRate>,
    pub trace: serde_json::Value,
    pub line_count: i32,
    pub content_hash: String,
    pub created_at: Timestamp,
    pub finalized_at: Option<Timestamp>,
}

/// What a credit note takes back of one invoice line.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = billing_db::schema::credit_note_line)]
pub struct CreditNoteLine {
    pub credit_note_id: CreditNoteId,
    pub line_number: i32,
    pub invoice_id: InvoiceId,
    pub invoice_line_number: i32,
    pub net_minor: i64,
    pub currency: Currency,
    pub vat_category: VatCategory,
    pub vat_bps: BasisPoints,
    pub trace: serde_json::Value,
}

impl CreditNoteLine {
    pub fn treatment(&self) -> VatTreatment {
        VatTreatment { category: self.vat_category, rate: self.vat_bps }
    }
}

/// A party as it stands on a document (Directive 2006/112/EC art. 226, points 3 to 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Party {
    pub external_id: String,
    pub name: String,
    pub street: String,
    pub postal_code: String,
    pub city: String,
    pub country: String,
    pub email: String,
    pub vat_number: Option<String>,
    pub registration_number: Option<String>,
    /// Of a buyer: what the check of the VAT number said and when, kept with the document.
    pub vat_check: Option<String>,
}

/// Seller and buyer, copied when the document is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parties {
    pub seller: Party,
    pub buyer: Party,
}

impl Parties {
    pub fn new(organization: &Organization, partner: &Partner) -> Parties {
        let seller = Party {
            external_id: organization.external_id.clone(),
            name: organization.name.clone(),
            street: organization.street.clone(),
            postal_code: organization.postal_code.clone(),
            city: organization.city.clone(),
            country: organization.country.clone(),
            email: organization.email.clone(),
            vat_number: organization.vat_number.clone(),
            registration_number: organization.registration_number.clone(),
            vat_check: None,
        };
        let answer = partner.vat_answer.as_deref().unwrap_or("no answer recorded");
        let vat_check = partner.vat_checked_at.map(|at| format!("{} at {at}: {answer}", partner.vat_status));
        let buyer = Party {
            external_id: partner.external_id.clone(),
            name: partner.legal_name.clone(),
            street: partner.street.clone(),
            postal_code: partner.postal_code.clone(),
            city: partner.city.clone(),
            country: partner.country.clone(),
            email: partner.email.clone(),
            vat_number: partner.vat_number.clone(),
            registration_number: None,
            vat_check,
        };
        Parties { seller, buyer }
    }
}
