//! Writes customers, subscriptions and their seat changes, many rows at once: these are the files that grow.

use std::collections::HashMap;

use billing_db::Conn;
use billing_primitives::{CustomerId, SeatChangeId, SubscriptionId};

use super::batch::Batch;
use super::desk::{Desk, next, parsed};
use super::files::File;
use super::rows;
use super::table::Line;
use super::{ImportError, Stop};
use crate::customers::{self, NewCustomer};
use crate::subscriptions::{NewSeatChange, NewSubscription, bulk};

/// The first refused change of each subscription. What comes behind it was meant to follow it.
type Spoiled = HashMap<SubscriptionId, u64>;

impl Desk<'_> {
    pub async fn customers(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let Some(mut table) = self.open(File::Customers)? else { return Ok(()) };
        let mut batch = Batch::new();
        while let Some(line) = next(&mut table)? {
            let (name, number) = (line.name("externalId"), line.number);
            if batch.is_full_for(name) {
                self.write_customers(conn, &mut batch).await?;
            }
            match self.customer(&line) {
                Ok(input) => batch.push(number, input.external_id.clone(), input),
                Err(stop) => {
                    let id = self.note::<CustomerId>(File::Customers, number, Err(stop))?;
                    self.customers.note(name, number, id);
                }
            }
            self.tell(&table);
        }
        self.write_customers(conn, &mut batch).await?;
        self.done(&table);
        Ok(())
    }

    fn customer(&self, line: &Line<'_>) -> Result<NewCustomer, Stop> {
        let row = parsed(line, rows::customer)?;
        self.customers.check_new(Some(&row.external_id))?;
        self.ready()?;
        Ok(NewCustomer {
            owner: self.partners.maybe("partnerExternalId", row.partner.as_deref())?,
            external_id: row.external_id,
            name: row.name,
            country: row.country,
            email: None,
            stripe_customer_id: None,
            owned_from: row.owned_from,
        })
    }

    async fn write_customers(&mut self, conn: &mut Conn, batch: &mut Batch<NewCustomer>) -> Result<(), ImportError> {
        let (lines, inputs) = batch.take();
        if inputs.is_empty() {
            return Ok(());
        }
        let puts = customers::bulk::put(conn, &self.billing, &self.caller, &inputs).await?;
        for ((line, input), put) in lines.into_iter().zip(inputs).zip(puts) {
            let id = self.note(File::Customers, line, put.map_err(Stop::Refused))?;
            self.customers.note(Some(&input.external_id), line, id);
        }
        Ok(())
    }

    pub async fn subscriptions(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let Some(mut table) = self.open(File::Subscriptions)? else { return Ok(()) };
        let mut batch = Batch::new();
        while let Some(line) = next(&mut table)? {
            let (name, number) = (line.name("externalId"), line.number);
            if batch.is_full_for(name) {
                self.write_subscriptions(conn, &mut batch).await?;
            }
            match self.subscription(&line) {
                Ok(input) => batch.push(number, input.external_id.clone(), input),
                Err(stop) => {
                    let id = self.note::<SubscriptionId>(File::Subscriptions, number, Err(stop))?;
                    self.subscriptions.note(name, number, id);
                }
            }
            self.tell(&table);
        }
        self.write_subscriptions(conn, &mut batch).await?;
        self.done(&table);
        Ok(())
    }

    fn subscription(&self, line: &Line<'_>) -> Result<NewSubscription, Stop> {
        let row = parsed(line, rows::subscription)?;
        self.subscriptions.check_new(Some(&row.external_id))?;
        self.ready()?;
        Ok(NewSubscription {
            customer: self.customers.get("customerExternalId", &row.customer)?,
            plan: self.plans.get("planExternalId", &row.plan)?,
            external_id: row.external_id,
            starts_on: row.starts_on,
            ends_on: row.ends_on,
            seats: row.seats,
        })
    }

    async fn write_subscriptions(
        &mut self,
        conn: &mut Conn,
        batch: &mut Batch<NewSubscription>,
    ) -> Result<(), ImportError> {
        let (lines, inputs) = batch.take();
        if inputs.is_empty() {
            return Ok(());
        }
        let puts = bulk::put(conn, &self.billing, &self.caller, &inputs).await?;
        for ((line, input), put) in lines.into_iter().zip(inputs).zip(puts) {
            let id = self.note(File::Subscriptions, line, put.map_err(Stop::Refused))?;
            self.subscriptions.note(Some(&input.external_id), line, id);
        }
        Ok(())
    }

    /// The order of the rows is the order of recording.
    pub async fn seat_changes(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let Some(mut table) = self.open(File::SeatChanges)? else { return Ok(()) };
        let mut batch = Batch::new();
        let mut spoiled = Spoiled::new();
        while let Some(line) = next(&mut table)? {
            if batch.is_full_for(line.name("externalId")) {
                self.write_seat_changes(conn, &mut batch, &mut spoiled).await?;
            }
            let number = line.number;
            match self.seat_change(&line, &spoiled) {
                Ok(input) => batch.push(number, input.external_id.clone(), input),
                Err(stop) => {
                    self.note::<SeatChangeId>(File::SeatChanges, number, Err(stop))?;
                    if let Some(id) = line.name("subscriptionExternalId").and_then(|name| self.subscriptions.id(name)) {
                        spoiled.entry(id).or_insert(number);
                    }
                }
            }
            self.tell(&table);
        }
        self.write_seat_changes(conn, &mut batch, &mut spoiled).await?;
        self.done(&table);
        Ok(())
    }

    fn seat_change(&self, line: &Line<'_>, spoiled: &Spoiled) -> Result<NewSeatChange, Stop> {
        let row = parsed(line, rows::seat_change)?;
        self.ready()?;
        let subscription = self.subscriptions.get("subscriptionExternalId", &row.subscription)?;
        if spoiled.contains_key(&subscription) {
            return Err(Stop::Depends);
        }
        let (external_id, effective_on, seats) = (row.external_id, row.effective_on, row.seats);
        Ok(NewSeatChange { external_id, subscription, effective_on, seats })
    }

    async fn write_seat_changes(
        &mut self,
        conn: &mut Conn,
        batch: &mut Batch<NewSeatChange>,
        spoiled: &mut Spoiled,
    ) -> Result<(), ImportError> {
        let (lines, inputs) = batch.take();
        if inputs.is_empty() {
            return Ok(());
        }
        let puts = bulk::put_seats(conn, &self.billing, &self.caller, &inputs).await?;
        for ((line, input), put) in lines.into_iter().zip(inputs).zip(puts) {
            let behind = spoiled.get(&input.subscription).is_some_and(|first| *first < line);
            let outcome = if behind { Err(Stop::Depends) } else { put.map_err(Stop::Refused) };
            if self.note(File::SeatChanges, line, outcome)?.is_none() {
                spoiled.entry(input.subscription).or_insert(line);
            }
        }
        Ok(())
    }
}
