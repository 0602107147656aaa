//! Exchange rates as they were published: one per day and direction, never overwritten.

pub mod rules;
pub(crate) mod store;

use billing_db::Conn;
use billing_primitives::{Currency, Date, ExchangeRate, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types;

use crate::caller::Caller;
use crate::error::Error;
use crate::page::{Page, Slice};
use crate::put::Put;
use crate::{Applied, Billing, audit};

/// What identifies a stored rate, in the order of lists: from, to, day.
pub type RateKey = (Currency, Currency, Date);

/// A rate that was published for a day: units of `to` for one unit of `from`.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, serde::Serialize, serde::Deserialize)]
pub struct StoredRate {
    #[diesel(sql_type = sql_types::Date)]
    pub date: Date,
    #[diesel(sql_type = sql_types::Text, column_name = from_currency)]
    pub from: Currency,
    #[diesel(sql_type = sql_types::Text, column_name = to_currency)]
    pub to: Currency,
    #[diesel(sql_type = sql_types::Text)]
    pub rate: ExchangeRate,
    /// Who published it, such as `ECB`.
    #[diesel(sql_type = sql_types::Text)]
    pub source: String,
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub created_at: Timestamp,
}

impl StoredRate {
    /// What a page goes on after.
    pub fn key(&self) -> RateKey {
        (self.from, self.to, self.date)
    }
}

/// A rate to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRate {
    pub date: Date,
    pub from: Currency,
    pub to: Currency,
    pub rate: ExchangeRate,
    pub source: String,
}

/// Records a rate. The same rate again, from whatever source, is answered with the one that stands.
///
/// # Errors
/// [`Refusal::Invalid`](crate::Refusal::Invalid),
/// [`Refusal::DiffersFromRecorded`](crate::Refusal::DiffersFromRecorded) for another rate of that day.
pub async fn record(billing: &Billing, caller: &Caller, input: &NewRate) -> Result<Applied<StoredRate>, Error> {
    let work = async |conn: &mut Conn| Ok(write(conn, billing, caller, input).await?.into_inner());
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`record`], inside a transaction.
pub(crate) async fn put(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewRate,
) -> Result<Put<RateKey>, Error> {
    Ok(match write(conn, billing, caller, input).await? {
        Put::Made(rate) => Put::Made(rate.key()),
        Put::Changed(rate) => Put::Changed(rate.key()),
        Put::Unchanged(rate) => Put::Unchanged(rate.key()),
    })
}

async fn write(conn: &mut Conn, billing: &Billing, caller: &Caller, input: &NewRate) -> Result<Put<StoredRate>, Error> {
    let now = billing.clock.now(conn).await?;
    let rate = rules::rate(input, now)?;
    if !store::insert(conn, caller.organization, &rate).await? {
        let known = store::get(conn, caller.organization, rate.key()).await?;
        let known = known.ok_or_else(|| Error::Corrupt(format!("a rate of {} is there and is not", rate.date)))?;
        rules::same_rate(&known, input)?;
        return Ok(Put::Unchanged(known));
    }
    let subject = format!("{}/{}/{}", rate.from, rate.to, rate.date);
    let details = serde_json::json!({ "rate": rate.rate, "source": rate.source });
    audit::record(conn, caller, now, "exchange_rate.record", subject, details).await?;
    Ok(Put::Made(rate))
}

/// A page of rates in the order of source currency, target currency and day; of one pair, if asked for.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<RateKey>,
    pair: Option<(Currency, Currency)>,
) -> Result<Slice<StoredRate>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, page, pair).await?))
        .await?;
    Ok(page.slice(rows))
}
