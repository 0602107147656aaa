//! Everything that the commissions of some sources follow from, loaded in a constant number of statements.
//!
//! Customers are locked first and read behind the lock: whoever comes later sees what was committed before it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use billing_db::Conn;
use billing_primitives::{
    Currency, CustomerId, Date, EnrollmentId, OrganizationId, PartnerId, PlanId, ProgramId, ProgramVersionId, TimeZone,
};

use super::book::{Commission, SourceKind};
use super::rules::VersionFrom;
use super::store::facts::{ByHand, ConversionRow, OwnerRow, PaidInvoice, Turn};
use super::store::standing::{AttributionRow, Link};
use super::store::{facts, rows, standing};
use crate::bulk;
use crate::error::Error;
use crate::programs::terms::{Overrides, SettlementMode, Terms};
use crate::stripe::{
    CreditNoteFact, DisputeFact, Fact, InvoiceFact, PaymentLinkFact, RefundFact, Related, SubscriptionFact,
};

/// What commissions are earned on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct SourceKey {
    pub kind: SourceKind,
    /// The Stripe invoice, or the converted customer.
    pub id: String,
}

impl SourceKey {
    pub fn invoice(id: impl Into<String>) -> Self {
        SourceKey { kind: SourceKind::StripeInvoice, id: id.into() }
    }

    pub fn conversion(customer: CustomerId) -> Self {
        SourceKey { kind: SourceKind::Conversion, id: customer.to_string() }
    }
}

/// What is to be derived.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    /// These invoices.
    pub invoices: &'a [String],
    /// Of these invoices it is not known that they are the last ones of their customers: an earlier one moves the anchor
    /// and the first period of later ones, so that all of the customer's are derived with it.
    pub news: bool,
    /// Everything of these customers.
    pub customers: &'a [CustomerId],
    /// The conversions of these customers.
    pub converted: &'a [CustomerId],
}

/// Whether the customers stay locked, so that the difference can be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Book,
    Look,
}

/// A published version with its terms.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub from: VersionFrom,
    pub terms: Terms,
}

/// One partner of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Earning {
    pub enrollment: EnrollmentId,
    pub partner: PartnerId,
    pub settlement: SettlementMode,
    pub overrides: Overrides,
    pub tier: Option<String>,
}

/// A commission as it is booked.
#[derive(Debug, Clone)]
pub(crate) struct Booked {
    pub commission: Commission,
    /// A statement shows it: re-attribution leaves it where it is.
    pub stated: bool,
}

/// A customer with what its sources depend on.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownCustomer {
    /// In the order in which they hold.
    pub attributions: Vec<AttributionRow>,
    /// In the order in which they were paid.
    pub paid: Vec<PaidInvoice>,
    pub subscriptions: Vec<SubscriptionFact>,
    /// In the order of their days.
    pub owners: Vec<OwnerRow>,
    pub conversion: Option<ConversionRow>,
}

impl KnownCustomer {
    /// The start of the first paid period known (golden rule R5).
    pub fn anchor(&self) -> Option<Date> {
        self.paid.iter().map(|invoice| invoice.earns_from).min()
    }

    /// To whom the customer is credited on a day.
    pub fn attribution_on(&self, day: Date) -> Option<&AttributionRow> {
        self.attributions.iter().rfind(|row| row.effective_from <= day)
    }

    /// Whether a partner sells to the customer on a day.
    pub fn is_wholesale_on(&self, day: Date) -> bool {
        self.owners.iter().rfind(|row| row.owned_from <= day).is_some_and(|row| row.partner_id.is_some())
    }
}

/// Everything known about the sources asked for.
pub(crate) struct Situation {
    pub zone: TimeZone,
    pub sources: BTreeSet<SourceKey>,
    pub customers: HashMap<CustomerId, KnownCustomer>,
    /// By Stripe's id of the customer.
    pub ids: HashMap<String, CustomerId>,
    pub invoices: HashMap<String, InvoiceFact>,
    pub related: HashMap<String, Related>,
    pub versions: HashMap<ProgramId, Vec<Version>>,
    pub chains: HashMap<(EnrollmentId, Date), Vec<Earning>>,
    pub plans: HashMap<String, PlanId>,
    /// Unit price and whether it is per seat.
    pub prices: HashMap<(PlanId, Currency, Date), (i64, bool)>,
    pub by_hand: HashMap<SourceKey, ByHand>,
    pub booked: HashMap<SourceKey, Vec<Booked>>,
}

impl Situation {
    /// # Errors
    /// Faults of the database; stored data that cannot be read.
    pub async fn load(
        conn: &mut Conn,
        organization: OrganizationId,
        zone: TimeZone,
        asked: Asked<'_>,
        access: Access,
    ) -> Result<Situation, Error> {
        let named: Vec<CustomerId> = asked.customers.iter().chain(asked.converted).copied().collect();
        let locked = match access {
            Access::Book => {
                facts::take_turns(conn, organization, Turn::Invoice, asked.invoices).await?;
                facts::lock_customers(conn, organization, &named, asked.invoices).await?
            }
            Access::Look => facts::customers(conn, organization, &named, asked.invoices).await?,
        };
        let mut situation = Situation::of_customers(conn, organization, zone, locked).await?;
        situation.choose_sources(conn, organization, asked).await?;
        situation.load_invoices(conn, organization).await?;
        situation.load_standing(conn, organization, access).await?;
        Ok(situation)
    }

    async fn of_customers(
        conn: &mut Conn,
        organization: OrganizationId,
        zone: TimeZone,
        customers: Vec<facts::DerivedCustomer>,
    ) -> Result<Situation, Error> {
        let own: Vec<CustomerId> = customers.iter().map(|customer| customer.id).collect();
        let ids: HashMap<String, CustomerId> =
            customers.into_iter().filter_map(|row| Some((row.stripe_customer_id?, row.id))).collect();
        let stripe: Vec<String> = ids.keys().cloned().collect();
        let mut known: HashMap<CustomerId, KnownCustomer> =
            own.iter().map(|id| (*id, KnownCustomer::default())).collect();
        for row in standing::attributions(conn, organization, &own).await? {
            known.entry(row.customer_id).or_default().attributions.push(row);
        }
        for row in facts::owners(conn, organization, &own).await? {
            known.entry(row.customer_id).or_default().owners.push(row);
        }
        for row in facts::conversions(conn, organization, &own).await? {
            let customer = row.customer_id;
            known.entry(customer).or_default().conversion = Some(row);
        }
        for row in facts::paid_invoices(conn, organization, &stripe).await? {
            if let Some(id) = ids.get(&row.customer) {
                known.entry(*id).or_default().paid.push(row);
            }
        }
        for fact in facts::subscriptions(conn, organization, &stripe).await? {
            if let Some(id) = fact.customer.as_ref().and_then(|customer| ids.get(customer)) {
                known.entry(*id).or_default().subscriptions.push(fact);
            }
        }
        Ok(Situation {
            zone,
            sources: BTreeSet::new(),
            customers: known,
            ids,
            invoices: HashMap::new(),
            related: HashMap::new(),
            versions: HashMap::new(),
            chains: HashMap::new(),
            plans: HashMap::new(),
            prices: HashMap::new(),
            by_hand: HashMap::new(),
            booked: HashMap::new(),
        })
    }

    /// From what was asked to the sources that have to be derived for it.
    async fn choose_sources(
        &mut self,
        conn: &mut Conn,
        organization: OrganizationId,
        asked: Asked<'_>,
    ) -> Result<(), Error> {
        self.sources.extend(asked.invoices.iter().map(SourceKey::invoice));
        self.sources.extend(self.customers.keys().map(|customer| SourceKey::conversion(*customer)));
        let mut whole: BTreeSet<CustomerId> = asked.customers.iter().copied().collect();
        if asked.news {
            let own = |paid: &PaidInvoice| asked.invoices.contains(&paid.stripe_id);
            // The one that was paid last may still be the one with the earliest period.
            let is_anchor = |known: &KnownCustomer, paid: &PaidInvoice| {
                known.paid.len() > 1 && known.anchor() == Some(paid.earns_from)
            };
            let moved = |known: &KnownCustomer| {
                let last = known.paid.last().filter(|paid| own(paid) && is_anchor(known, paid));
                last.is_some() || known.paid.iter().rev().skip(1).any(own)
            };
            whole.extend(self.customers.iter().filter(|(_, known)| moved(known)).map(|(id, _)| *id));
        }
        let stripe: Vec<String> =
            self.ids.iter().filter(|(_, id)| whole.contains(id)).map(|(stripe, _)| stripe.clone()).collect();
        if !stripe.is_empty() {
            let invoices = facts::invoices_of(conn, organization, &stripe).await?;
            self.sources.extend(invoices.into_iter().map(SourceKey::invoice));
        }
        Ok(())
    }

    /// The Stripe invoices among the sources.
    fn invoice_ids(&self) -> Vec<String> {
        let invoices = self.sources.iter().filter(|source| source.kind == SourceKind::StripeInvoice);
        invoices.map(|source| source.id.clone()).collect()
    }

    async fn load_invoices(&mut self, conn: &mut Conn, organization: OrganizationId) -> Result<(), Error> {
        let mut invoices = self.invoice_ids();
        // A conversion hangs on its customer's first paid invoice.
        invoices.extend(self.customers.values().filter_map(|known| Some(known.paid.first()?.stripe_id.clone())));
        let invoices = bulk::distinct(invoices.into_iter());
        let mut around = Around::default();
        for fact in facts::around_invoices(conn, organization, &invoices).await? {
            around.add(fact);
        }
        self.related = invoices.iter().map(|invoice| (invoice.clone(), around.of(invoice))).collect();
        self.invoices = around.invoices;
        let mut stripe_ids: Vec<String> = Vec::new();
        for line in self.invoices.values().flat_map(|invoice| &invoice.lines) {
            stripe_ids.extend([&line.price, &line.product].into_iter().flatten().cloned());
        }
        let stripe_ids = bulk::distinct(stripe_ids.into_iter());
        if !stripe_ids.is_empty() {
            let refs = facts::plan_refs(conn, organization, &stripe_ids).await?;
            self.plans = refs.into_iter().map(|row| (row.stripe_id, row.plan_id)).collect();
        }
        Ok(())
    }

    async fn load_standing(
        &mut self,
        conn: &mut Conn,
        organization: OrganizationId,
        access: Access,
    ) -> Result<(), Error> {
        let ids: Vec<String> = self.sources.iter().map(|source| source.id.clone()).collect();
        for row in facts::by_hand(conn, organization, &ids).await? {
            self.by_hand.insert(SourceKey { kind: row.source_kind, id: row.source_id.clone() }, row);
        }
        for booked in rows::booked(conn, organization, &ids, access).await? {
            let commission = &booked.commission;
            let key = SourceKey { kind: commission.source_kind, id: commission.source_id.clone() };
            self.booked.entry(key).or_default().push(booked);
        }
        let programs = self.customers.values().flat_map(|known| &known.attributions).filter_map(|row| row.program_id);
        let programs = bulk::distinct(programs);
        if programs.is_empty() {
            return Ok(());
        }
        for row in standing::versions(conn, organization, &programs).await? {
            let terms = serde_json::from_str(&row.terms)
                .map_err(|error| Error::Corrupt(format!("terms of {}: {error}", row.id)))?;
            let from = VersionFrom {
                id: row.id,
                effective_from: row.effective_from,
                new_customers_only: row.new_customers_only,
            };
            self.versions.entry(row.program_id).or_default().push(Version { from, terms });
        }
        let asked: Vec<(EnrollmentId, Date)> = bulk::distinct(self.earning_days());
        for link in standing::chains(conn, organization, &asked).await? {
            self.chains.entry((link.asked, link.day)).or_default().push(earning(link)?);
        }
        self.load_prices(conn, organization).await
    }

    /// On which days whose chains are needed.
    fn earning_days(&self) -> impl Iterator<Item = (EnrollmentId, Date)> {
        self.sources.iter().filter_map(|source| {
            let (customer, day) = self.day_of(source)?;
            Some((self.attribution_of(source, customer, day)?.enrollment_id?, day))
        })
    }

    async fn load_prices(&mut self, conn: &mut Conn, organization: OrganizationId) -> Result<(), Error> {
        let wanted = |known: &KnownCustomer| {
            let conversion = known.conversion.as_ref()?;
            let day = conversion.converted_at.date_in(&self.zone);
            Some((conversion.plan_id?, known.attribution_on(day)?.currency?, day))
        };
        let asked: Vec<_> = bulk::distinct(self.customers.values().filter_map(wanted));
        if asked.is_empty() {
            return Ok(());
        }
        for price in standing::list_prices(conn, organization, &asked).await? {
            let position = usize::try_from(price.position - 1).unwrap_or(usize::MAX);
            if let Some(key) = asked.get(position) {
                self.prices.insert(*key, (price.unit_price_minor, price.per_seat));
            }
        }
        Ok(())
    }

    /// Whose source it is, and the day it is earned on in the organization's zone; none before it is.
    pub fn day_of(&self, source: &SourceKey) -> Option<(CustomerId, Date)> {
        match source.kind {
            SourceKind::StripeInvoice => {
                let invoice = self.invoices.get(&source.id)?;
                let customer = self.ids.get(invoice.customer.as_ref()?)?;
                Some((*customer, invoice.paid_at?.date_in(&self.zone)))
            }
            SourceKind::Conversion => {
                let customer: CustomerId = source.id.parse().ok()?;
                let known = self.customers.get(&customer)?;
                let first = known.paid.first().map(|paid| paid.paid_at);
                let converted = known.conversion.as_ref().map(|conversion| conversion.converted_at);
                Some((customer, converted.or(first)?.date_in(&self.zone)))
            }
        }
    }

    /// To whom a source is credited: what a statement has shown stays where it is.
    pub fn attribution_of(&self, source: &SourceKey, customer: CustomerId, day: Date) -> Option<&AttributionRow> {
        let known = self.customers.get(&customer)?;
        // What came and went again before its statement was made stands there as nothing.
        let stays = |booked: &&Booked| booked.stated && booked.commission.earned_minor != 0;
        let shown = self.booked.get(source).and_then(|booked| booked.iter().find(stays));
        match shown {
            Some(booked) => known.attributions.iter().find(|row| row.id == booked.commission.attribution_id),
            None => known.attribution_on(day),
        }
    }

    /// The version that an attribution earns by on a day.
    pub fn version_of(&self, attribution: &AttributionRow, day: Date) -> Option<&Version> {
        let versions = self.versions.get(&attribution.program_id?)?;
        let from: Vec<VersionFrom> = versions.iter().map(|version| version.from).collect();
        let id: ProgramVersionId = super::rules::in_force(&from, attribution.effective_from, day)?;
        versions.iter().find(|version| version.from.id == id)
    }
}

fn earning(link: Link) -> Result<Earning, Error> {
    let overrides = link.overrides.as_deref().map(serde_json::from_str).transpose();
    let overrides = overrides.map_err(|error| Error::Corrupt(format!("terms of {}: {error}", link.enrollment_id)))?;
    Ok(Earning {
        enrollment: link.enrollment_id,
        partner: link.partner_id,
        settlement: link.settlement.unwrap_or(SettlementMode::Payout),
        overrides: overrides.unwrap_or_default(),
        tier: link.tier_code,
    })
}

/// Facts around invoices, each once, found by the ids through which they meet.
#[derive(Default)]
struct Around {
    invoices: HashMap<String, InvoiceFact>,
    links: HashMap<String, PaymentLinkFact>,
    refunds: HashMap<String, RefundFact>,
    disputes: HashMap<String, DisputeFact>,
    /// By invoice.
    notes: HashMap<String, BTreeMap<String, CreditNoteFact>>,
    /// The ids of the links of an invoice.
    paid_by: HashMap<String, BTreeSet<String>>,
    /// The ids of the facts that name a payment intent or a charge.
    naming: HashMap<String, BTreeSet<String>>,
}

impl Around {
    fn add(&mut self, fact: Fact) {
        let (id, keys) = (fact.id(), fact.keys());
        if matches!(fact, Fact::PaymentLink(_) | Fact::Refund(_) | Fact::Dispute(_)) {
            for key in [keys.payment_intent, keys.charge].into_iter().flatten() {
                self.naming.entry(key).or_default().insert(id.clone());
            }
        }
        match fact {
            Fact::Invoice(invoice) => drop(self.invoices.insert(id, invoice)),
            Fact::PaymentLink(link) => {
                self.paid_by.entry(link.invoice.clone()).or_default().insert(id.clone());
                self.links.insert(id, link);
            }
            Fact::Refund(refund) => drop(self.refunds.insert(id, refund)),
            Fact::Dispute(dispute) => drop(self.disputes.insert(id, dispute)),
            Fact::CreditNote(note) => drop(self.notes.entry(note.invoice.clone()).or_default().insert(id, note)),
            Fact::Subscription(_) | Fact::Customer(_) | Fact::Checkout(_) => {}
        }
    }

    /// What concerns one invoice: its credit notes, its payments, whatever else these payments paid, and what became of
    /// them.
    fn of(&self, invoice: &str) -> Related {
        let own = self.paid_by.get(invoice);
        let links = || own.into_iter().flatten().filter_map(|id| self.links.get(id));
        let named = links().flat_map(|link| [&link.payment_intent, &link.charge]).flatten();
        let mut ids: BTreeSet<&String> = named.filter_map(|key| self.naming.get(key)).flatten().collect();
        ids.extend(own.into_iter().flatten());
        Related {
            links: ids.iter().filter_map(|id| self.links.get(*id)).cloned().collect(),
            refunds: ids.iter().filter_map(|id| self.refunds.get(*id)).cloned().collect(),
            disputes: ids.iter().filter_map(|id| self.disputes.get(*id)).cloned().collect(),
            credit_notes: self.notes.get(invoice).into_iter().flat_map(BTreeMap::values).cloned().collect(),
        }
    }
}
