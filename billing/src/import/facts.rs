//! Writes retail prices and exchange rates: dated facts that name others and are named by none.

use billing_db::Conn;
use billing_primitives::RetailPriceId;

use super::desk::{Desk, next, parsed};
use super::files::File;
use super::rows;
use super::table::{BadCell, Line};
use super::{ImportError, Stop};
use crate::error::{Error, Refusal};
use crate::put::Put;
use crate::rates::{self, RateKey};
use crate::retail::{self, NewRetailPrice};

impl Desk<'_> {
    pub async fn retail_prices(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let Some(mut table) = self.open(File::RetailPrices)? else { return Ok(()) };
        while let Some(line) = next(&mut table)? {
            let number = line.number;
            let outcome = self.put_retail_price(conn, &line).await;
            self.note(File::RetailPrices, number, outcome)?;
            self.tell(&table);
        }
        self.done(&table);
        Ok(())
    }

    async fn put_retail_price(&self, conn: &mut Conn, line: &Line<'_>) -> Result<Put<RetailPriceId>, Stop> {
        let row = parsed(line, rows::retail_price)?;
        self.ready()?;
        let input = NewRetailPrice {
            partner: self.partners.get("partnerExternalId", &row.partner)?,
            plan: self.plans.get("planExternalId", &row.plan)?,
            customer: self.customers.maybe("customerExternalId", row.customer.as_deref())?,
            effective_on: row.effective_on,
            unit_price: row.unit_price,
        };
        match retail::put(conn, &self.billing, &self.caller, &input).await {
            // The customer stands, so it is another partner's.
            Err(Error::Refused(Refusal::NotFound { field: "customer", .. })) => {
                Err(BadCell::new("customerExternalId", format_args!("is no customer of {:?}", row.partner)).into())
            }
            put => Ok(put?),
        }
    }

    pub async fn exchange_rates(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let Some(mut table) = self.open(File::ExchangeRates)? else { return Ok(()) };
        while let Some(line) = next(&mut table)? {
            let number = line.number;
            let outcome = self.put_exchange_rate(conn, &line).await;
            self.note(File::ExchangeRates, number, outcome)?;
            self.tell(&table);
        }
        self.done(&table);
        Ok(())
    }

    async fn put_exchange_rate(&self, conn: &mut Conn, line: &Line<'_>) -> Result<Put<RateKey>, Stop> {
        let input = parsed(line, rows::exchange_rate)?;
        self.ready()?;
        Ok(rates::put(conn, &self.billing, &self.caller, &input).await?)
    }
}
