//! Every amount explains itself: the tree it came from, as it was stored when it was computed.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use billing::{Refusal, explain};
use billing_primitives::{CommissionEntryId, CommissionId, CommissionStatementId, CreditNoteId, InvoiceId, PayoutId};

use super::invoice_lines::InvoiceLineId;
use super::scalars::Money;
use super::scope::Scope;

/// One step of a calculation, with the steps it is made of.
#[derive(Debug, Clone, SimpleObject)]
pub struct Explanation {
    /// What this is, such as "net of line 3".
    pub label: String,
    /// What it comes to; null where it is no amount.
    pub amount: Option<Money>,
    /// How that follows from the inputs.
    pub formula: Option<String>,
    /// The exact value before rounding, in minor units, as a fraction.
    pub exact: Option<String>,
    /// The rules of arithmetic that apply, such as `R3`.
    pub rules: Vec<String>,
    /// What the formula was given.
    pub inputs: Vec<ExplanationValue>,
    /// The steps it is made of; a query asks for as many levels as it names.
    pub parts: Vec<Explanation>,
}

/// A name and a value that a formula was given.
#[derive(Debug, Clone, SimpleObject)]
pub struct ExplanationValue {
    /// The name.
    pub name: String,
    /// The value; an id where it is an object.
    pub value: String,
}

impl From<explain::Explanation> for Explanation {
    fn from(tree: explain::Explanation) -> Self {
        let value = |input: explain::Input| ExplanationValue { name: input.name, value: input.value };
        Explanation {
            label: tree.label,
            amount: tree.amount.map(Into::into),
            formula: tree.formula,
            exact: tree.exact,
            rules: tree.rules,
            inputs: tree.inputs.into_iter().map(value).collect(),
            parts: tree.parts.into_iter().map(Explanation::from).collect(),
        }
    }
}

#[derive(Default)]
pub struct ExplainQuery;

#[Object]
impl ExplainQuery {
    /// Why an invoice, an invoice line, a credit note, a commission or a step of one, a payout or a commission statement
    /// comes to its amount; null when there is no such object.
    async fn explain(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The id of an invoice, an invoice line, a credit note, a commission, a step of one, a payout or a commission statement."
        )]
        id: ID,
    ) -> Result<Option<Explanation>> {
        let scope = Scope::of(ctx)?;
        let (billing, organization) = (&scope.billing, scope.organization());
        let told = if let Ok(id) = id.parse::<InvoiceId>() {
            explain::invoice(billing, organization, id).await
        } else if let Ok(line) = id.parse::<InvoiceLineId>() {
            explain::line(billing, organization, line.invoice, line.number).await
        } else if let Ok(id) = id.parse::<CreditNoteId>() {
            explain::credit_note(billing, organization, id).await
        } else if let Ok(id) = id.parse::<CommissionId>() {
            explain::commission(billing, organization, id).await
        } else if let Ok(id) = id.parse::<CommissionEntryId>() {
            explain::commission_entry(billing, organization, id).await
        } else if let Ok(id) = id.parse::<PayoutId>() {
            explain::payout(billing, organization, id).await
        } else if let Ok(id) = id.parse::<CommissionStatementId>() {
            explain::statement(billing, organization, id).await
        } else {
            return Ok(None);
        };
        match told {
            Ok(tree) => Ok(Some(tree.into())),
            Err(billing::Error::Refused(Refusal::NotFound { .. })) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }
}
