//! The books: accounts, their entries, and the trial balance. They are read here and nowhere written.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use billing::books;
use billing_primitives::{self as primitives, EnrollmentId, LedgerAccountId, PartnerId};

use super::connection::{Connection, List};
use super::enrollments::Enrollment;
use super::loaders::Rows;
use super::partners::Partner;
use super::scalars::{Currency, Date, DateTime, Money};
use super::scope::Scope;

/// An account of the books in one currency.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct LedgerAccount {
    /// The global id.
    pub id: ID,
    /// What it is for, such as `receivable` or `output_vat`.
    pub kind: String,
    /// The currency of all its entries.
    pub currency: Currency,
    #[graphql(skip)]
    row: books::LedgerAccount,
}

impl From<books::LedgerAccount> for LedgerAccount {
    fn from(row: books::LedgerAccount) -> Self {
        LedgerAccount { id: row.id.into(), kind: row.kind.clone(), currency: row.currency.into(), row }
    }
}

#[ComplexObject]
impl LedgerAccount {
    /// The partner whose it is; null: the organization's own, or an enrollment's.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>> {
        let Some(partner) = self.row.partner else { return Ok(None) };
        let partner: billing::partners::Partner = Scope::of(ctx)?.need::<PartnerId>(partner).await?;
        Ok(Some(partner.into()))
    }

    /// The enrollment whose it is; null: the organization's own, or a partner's.
    async fn enrollment(&self, ctx: &Context<'_>) -> Result<Option<Enrollment>> {
        let Some(enrollment) = self.row.enrollment else { return Ok(None) };
        let enrollment: billing::programs::Enrollment = Scope::of(ctx)?.need::<EnrollmentId>(enrollment).await?;
        Ok(Some(enrollment.into()))
    }

    /// Debits less credits: what is owed to the organization is above zero, what it owes and its revenue below.
    async fn balance(&self, ctx: &Context<'_>) -> Result<Money> {
        let found = Scope::of(ctx)?.load(BalanceOf(self.row.id)).await?;
        let (debits, credits) = found.map_or((0, 0), |balance| (balance.debit_minor, balance.credit_minor));
        Ok(books::balance(debits, credits, self.row.currency)?.into())
    }

    /// Its entries in the order in which they were written.
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<LedgerEntry>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("ledgerEntries", scope.organization(), first, after.as_deref())?;
        let slice = books::entries(&scope.billing, scope.organization(), self.row.id, &list.page).await?;
        list.connection(slice, |entry| (entry.transaction_id, entry.position))
    }
}

/// Debits and credits of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct BalanceOf(LedgerAccountId);

impl Loader<BalanceOf> for Rows {
    type Value = books::AccountBalance;
    type Error = Arc<billing::Error>;

    async fn load(&self, keys: &[BalanceOf]) -> Result<HashMap<BalanceOf, Self::Value>, Self::Error> {
        let ids: Vec<LedgerAccountId> = keys.iter().map(|key| key.0).collect();
        let rows = books::balances_of(&self.billing, self.organization, &ids).await?;
        Ok(rows.into_iter().map(|row| (BalanceOf(row.id), row)).collect())
    }
}

/// An amount that went from one account to another. Entries are only ever added.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct LedgerEntry {
    /// The transaction it belongs to: one business fact.
    pub transaction_id: ID,
    /// Its place in the transaction, from 1.
    pub position: i32,
    /// What happened, such as `invoice.finalized`.
    pub kind: String,
    /// The id of the fact, such as an invoice's or a payment's.
    pub source: String,
    /// The day it is for.
    pub occurred_on: Date,
    /// The amount, above zero: debited to one account and credited to the other.
    pub amount: Money,
    /// When it was written.
    pub created_at: DateTime,
    #[graphql(skip)]
    debit: LedgerAccountId,
    #[graphql(skip)]
    credit: LedgerAccountId,
}

impl From<books::Entry> for LedgerEntry {
    fn from(row: books::Entry) -> Self {
        LedgerEntry {
            transaction_id: row.transaction_id.into(),
            position: row.position,
            amount: row.amount().into(),
            occurred_on: row.occurred_on.into(),
            created_at: row.created_at.into(),
            debit: row.debit_account_id,
            credit: row.credit_account_id,
            kind: row.kind,
            source: row.source,
        }
    }
}

#[ComplexObject]
impl LedgerEntry {
    /// The account that is debited.
    async fn debit_account(&self, ctx: &Context<'_>) -> Result<LedgerAccount> {
        Ok(Scope::of(ctx)?.need(self.debit).await?.into())
    }

    /// The account that is credited.
    async fn credit_account(&self, ctx: &Context<'_>) -> Result<LedgerAccount> {
        Ok(Scope::of(ctx)?.need(self.credit).await?.into())
    }
}

/// All accounts of one kind and currency together.
#[derive(Debug, Clone, SimpleObject)]
pub struct TrialBalanceLine {
    /// What the accounts are for.
    pub kind: String,
    /// Their currency.
    pub currency: Currency,
    /// What was debited in all.
    pub debits: Money,
    /// What was credited in all.
    pub credits: Money,
    /// Debits less credits; over all kinds of a currency these add up to zero.
    pub balance: Money,
}

impl TrialBalanceLine {
    fn of(row: books::KindTotal) -> Result<Self, billing::Error> {
        let money = |minor| primitives::Money::new(minor, row.currency).into();
        Ok(TrialBalanceLine {
            currency: row.currency.into(),
            debits: money(row.debit_minor),
            credits: money(row.credit_minor),
            balance: books::balance(row.debit_minor, row.credit_minor, row.currency)?.into(),
            kind: row.kind,
        })
    }
}

#[derive(Default)]
pub struct LedgerQuery;

#[Object]
impl LedgerQuery {
    /// One account by its id; null when there is none.
    async fn ledger_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id.")] id: ID,
    ) -> Result<Option<LedgerAccount>> {
        Ok(Scope::of(ctx)?.find::<LedgerAccountId>(&id).await?.map(LedgerAccount::from))
    }

    /// All accounts, in no order that means anything.
    async fn ledger_accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<LedgerAccount>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("ledgerAccounts", scope.organization(), first, after.as_deref())?;
        let slice = books::accounts(&scope.billing, scope.organization(), &list.page).await?;
        list.connection(slice, |account| account.id)
    }

    /// What was debited and credited in all, per currency and kind of account.
    async fn trial_balance(&self, ctx: &Context<'_>) -> Result<Vec<TrialBalanceLine>> {
        let scope = Scope::of(ctx)?;
        let totals = books::trial_balance(&scope.billing, scope.organization()).await?;
        Ok(totals.into_iter().map(TrialBalanceLine::of).collect::<Result<_, _>>()?)
    }
}
