//! Exchange rates, as they were published.

use async_graphql::{Context, InputObject, Object, Result, SimpleObject};
use billing::rates;

use super::connection::{Connection, List};
use super::errors::Code;
use super::scalars::{Currency, Date, DateTime, Rate};
use super::scope::Scope;
use crate::payloads;

/// A rate that was published for a day. It never changes.
#[derive(Debug, Clone, SimpleObject)]
pub struct ExchangeRate {
    /// The day it was published for.
    pub date: Date,
    /// The currency that is converted.
    pub from: Currency,
    /// The currency it is converted to.
    pub to: Currency,
    /// Units of `to` for one unit of `from`.
    pub rate: Rate,
    /// Who published it, such as `ECB`.
    pub source: String,
    /// When it was recorded.
    pub created_at: DateTime,
}

impl From<rates::StoredRate> for ExchangeRate {
    fn from(row: rates::StoredRate) -> Self {
        ExchangeRate {
            date: row.date.into(),
            from: row.from.into(),
            to: row.to.into(),
            rate: row.rate.into(),
            source: row.source,
            created_at: row.created_at.into(),
        }
    }
}

#[derive(Default)]
pub struct RateQuery;

#[Object]
impl RateQuery {
    /// Exchange rates in the order of the two currencies and the day: all, or those of one pair.
    async fn exchange_rates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
        #[graphql(desc = "The currency that is converted; needs `to`.")] from: Option<Currency>,
        #[graphql(desc = "The currency it is converted to; needs `from`.")] to: Option<Currency>,
    ) -> Result<Connection<ExchangeRate>> {
        let scope = Scope::of(ctx)?;
        let pair = match (from, to) {
            (Some(from), Some(to)) => Some((from.0, to.0)),
            (None, None) => None,
            _ => return Err(Code::BadUserInput.error("from and to go together")),
        };
        let list = List::of("exchangeRates", scope.organization(), first, after.as_deref())?;
        let slice = rates::list(&scope.billing, scope.organization(), &list.page, pair).await?;
        list.connection(slice, rates::StoredRate::key)
    }
}

/// A rate to record.
#[derive(Debug, Clone, InputObject)]
pub struct RecordExchangeRateInput {
    /// The day it was published for.
    date: Date,
    /// The currency that is converted.
    from: Currency,
    /// The currency it is converted to.
    to: Currency,
    /// Units of `to` for one unit of `from`.
    rate: Rate,
    /// Who published it, such as `ECB`.
    source: String,
}

payloads! {
    /// What recording a rate came to.
    RecordExchangeRatePayload {
        /// The rate that stands.
        exchange_rate: ExchangeRate as rates::StoredRate
    }
}

#[derive(Default)]
pub struct RateMutation;

#[Object]
impl RateMutation {
    /// Records an exchange rate. The same rate again is answered with the one that stands; another one of that day is
    /// refused.
    async fn record_exchange_rate(
        &self,
        ctx: &Context<'_>,
        input: RecordExchangeRateInput,
    ) -> Result<RecordExchangeRatePayload> {
        let scope = Scope::of(ctx)?;
        let rate = rates::NewRate {
            date: input.date.into(),
            from: input.from.into(),
            to: input.to.into(),
            rate: input.rate.into(),
            source: input.source,
        };
        scope.command(rates::record(&scope.billing, &scope.caller, &rate)).await
    }
}
