//! An organization with a clock that stands until the story moves it on.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use billing::catalog::plans::NewPlan;
use billing::catalog::{Plan, Pricing, PublishPrices};
use billing::customers::{Customer, NewCustomer};
use billing::import::{self, Folder, ImportError, Report};
use billing::invoicing::documents::{BillingRun, CreditNote, Invoice, InvoiceLine};
use billing::invoicing::run::Goal;
use billing::invoicing::{self, InvoiceFilter};
use billing::organizations::{self, Mode, NewOrganization, Organization, TermsFrom};
use billing::partners::{self, Partner, PartnerProfile};
use billing::subscriptions::{self, NewSeatChange, NewSubscription, Subscription, rules::Seats};
use billing::tiers::{self, NewTier, NewTierTable};
use billing::{Billing, Caller, Clock, Page};
use billing_db::Db;
use billing_primitives::{BasisPoints, Currency, Date, Money, Month, OrganizationId, PartnerId, Timestamp};

static COUNT: AtomicU32 = AtomicU32::new(0);

pub fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

pub fn month(text: &str) -> Month {
    text.parse().expect("a month")
}

pub fn dkk(minor: i64) -> Money {
    Money::new(minor, Currency::DKK)
}

pub fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::EUR)
}

/// An organization of its own in the shared database.
#[derive(Clone)]
pub struct App {
    pub billing: Billing,
    pub organization: OrganizationId,
    pub external_id: String,
}

impl App {
    /// A Danish organization that bills from 2026-01, without anything else in it.
    pub async fn new(db: Db) -> App {
        App::with(db, |_| {}).await
    }

    pub async fn with(db: Db, change: impl FnOnce(&mut NewOrganization)) -> App {
        let clock = Clock::manual("2026-01-01T12:00:00Z".parse().expect("an instant"));
        let billing = Billing::new(db, clock);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut input = NewOrganization {
            external_id: format!("org-{}-{number}", std::process::id()),
            name: "Sælger A/S".to_owned(),
            mode: Mode::Live,
            time_zone: "Europe/Copenhagen".parse().expect("a zone"),
            currency: Currency::DKK,
            country: "DK".to_owned(),
            vat_number: Some("DK12345674".to_owned()),
            registration_number: None,
            street: "Vej 1".to_owned(),
            postal_code: "8000".to_owned(),
            city: "Aarhus C".to_owned(),
            email: "faktura@saelger.example".to_owned(),
            invoice_prefix: None,
            credit_note_prefix: None,
            payment_terms_days: 14,
            payment_terms_from: TermsFrom::IssueDate,
            billing_from: month("2026-01"),
            run_schedule: None,
            payout_four_eyes: None,
        };
        change(&mut input);
        let made: Organization = organizations::create(&billing, &input).await.expect("an organization");
        App { billing, organization: made.id, external_id: made.external_id }
    }

    pub fn caller(&self) -> Caller {
        Caller::operator(self.organization)
    }

    /// Moves the clock to noon (UTC) of a day.
    pub fn on(&self, day: &str) -> &Self {
        let noon: Timestamp = format!("{day}T12:00:00Z").parse().expect("an instant");
        self.billing.clock.set(noon);
        self
    }

    pub fn profile(external_id: &str) -> PartnerProfile {
        PartnerProfile {
            external_id: external_id.to_owned(),
            legal_name: format!("Partner {external_id} ApS"),
            email: "bogholderi@partner.example".to_owned(),
            street: "Gade 2".to_owned(),
            postal_code: "5000".to_owned(),
            city: "Odense C".to_owned(),
            country: "DK".to_owned(),
            vat_number: Some("DK87654321".to_owned()),
            currency: Currency::DKK,
            payment_terms: None,
            parent: None,
        }
    }

    pub async fn partner(&self, external_id: &str) -> Partner {
        self.partner_as(App::profile(external_id)).await
    }

    pub async fn partner_as(&self, profile: PartnerProfile) -> Partner {
        partners::create(&self.billing, &self.caller(), &profile).await.expect("a partner").into_inner()
    }

    /// Registreret 15 % from 0, Certificeret 30 % from 500, Premier 40 % from 1000 users; confirmed.
    pub async fn tiers(&self, from: &str) {
        let tier = |code: &str, name: &str, from_users, bps| NewTier {
            code: code.to_owned(),
            name: name.to_owned(),
            from_users,
            discount_bps: BasisPoints::new(bps).expect("a discount"),
        };
        let table = NewTierTable {
            effective_from: month(from),
            grace_months: 1,
            indicative: false,
            tiers: vec![
                tier("REGISTRERET", "Registreret", 0, 1500),
                tier("CERTIFICERET", "Certificeret", 500, 3000),
                tier("PREMIER", "Premier", 1000, 4000),
            ],
        };
        tiers::publish(&self.billing, &self.caller(), &table).await.expect("a tier table");
    }

    pub async fn plan(&self, external_id: &str, pricing: Pricing) -> Plan {
        let input =
            NewPlan { external_id: external_id.to_owned(), name: external_id.to_owned(), pricing, counts_users: None };
        billing::catalog::plans::create(&self.billing, &self.caller(), &input).await.expect("a plan").into_inner()
    }

    /// Prices of the organization's own list in the currency of the amounts.
    pub async fn prices(&self, effective_on: &str, prices: &[(&Plan, Money)]) {
        let currency = prices.first().expect("a price").1.currency;
        let input = PublishPrices {
            price_list: format!("list-{currency}"),
            currency,
            partner: None,
            effective_on: date(effective_on),
            prices: prices.iter().map(|(plan, price)| (plan.id, price.minor)).collect(),
        };
        billing::catalog::publish_prices(&self.billing, &self.caller(), &input).await.expect("prices");
    }

    /// A published rate: DKK for one EUR.
    pub async fn rate(&self, day: &str, rate: &str) {
        let input = billing::rates::NewRate {
            date: date(day),
            from: Currency::EUR,
            to: Currency::DKK,
            rate: rate.parse().expect("a rate"),
            source: "ECB".to_owned(),
        };
        billing::rates::record(&self.billing, &self.caller(), &input).await.expect("an exchange rate");
    }

    pub async fn customer(&self, external_id: &str, owner: Option<PartnerId>) -> Customer {
        let input = NewCustomer {
            external_id: external_id.to_owned(),
            name: format!("Kunde {external_id}"),
            country: None,
            email: None,
            stripe_customer_id: None,
            owner,
            owned_from: date("2025-01-01"),
        };
        let made = billing::customers::create(&self.billing, &self.caller(), &input).await;
        made.expect("a customer").into_inner()
    }

    pub async fn subscribe(
        &self,
        external_id: &str,
        of: &Customer,
        plan: &Plan,
        from: &str,
        seats: i64,
    ) -> Subscription {
        let input = NewSubscription {
            external_id: external_id.to_owned(),
            customer: of.id,
            plan: plan.id,
            starts_on: date(from),
            ends_on: None,
            seats: (plan.pricing == Pricing::PerSeat).then_some(seats),
        };
        subscriptions::create(&self.billing, &self.caller(), &input).await.expect("a subscription").into_inner()
    }

    pub async fn seats(&self, external_id: &str, of: &Subscription, on: &str, seats: Seats) {
        self.try_seats(external_id, of, on, seats).await.expect("a seat change");
    }

    pub async fn try_seats(
        &self,
        external_id: &str,
        of: &Subscription,
        on: &str,
        seats: Seats,
    ) -> Result<(), billing::Error> {
        let input =
            NewSeatChange { external_id: external_id.to_owned(), subscription: of.id, effective_on: date(on), seats };
        subscriptions::change_seats(&self.billing, &self.caller(), &input).await.map(|_| ())
    }

    /// Walks a run of the month to its end.
    pub async fn run(&self, of: &str, goal: Goal) -> BillingRun {
        self.try_run(of, goal).await.expect("a run")
    }

    pub async fn try_run(&self, of: &str, goal: Goal) -> Result<BillingRun, billing::Error> {
        let run = invoicing::run::begin(&self.billing, &self.caller(), month(of), goal).await?.into_inner();
        invoicing::run::walk(&self.billing, &run, |_| {}).await
    }

    /// All invoices in the order in which they were made.
    pub async fn invoices(&self) -> Vec<Invoice> {
        let mut all = Vec::new();
        let mut page = Page::new(None, 100);
        loop {
            let slice = invoicing::invoices(&self.billing, self.organization, &InvoiceFilter::default(), &page).await;
            let slice = slice.expect("invoices");
            all.extend(slice.items);
            if !slice.has_next {
                break;
            }
            page = Page::new(all.last().map(|invoice: &Invoice| invoice.id), 100);
        }
        all.reverse();
        all
    }

    pub async fn lines(&self, of: &Invoice) -> Vec<InvoiceLine> {
        invoicing::first_lines(&self.billing, self.organization, &[of.id], i32::MAX).await.expect("lines")
    }

    pub async fn credit_notes(&self) -> Vec<CreditNote> {
        let page = Page::new(None, 100);
        let slice = invoicing::credit_notes(&self.billing, self.organization, None, &page).await.expect("credit notes");
        slice.items.into_iter().rev().collect()
    }

    /// Seals and verifies; panics with the differences if there are any.
    pub async fn verify(&self) {
        billing::reconciliation::seal(&self.billing, self.organization).await.expect("sealing");
        let report = billing::reconciliation::verify(&self.billing, self.organization).await.expect("a report");
        assert!(report.is_clean(), "{:#?}", report.differences().collect::<Vec<_>>());
        assert_eq!(report.unsealed, 0);
    }
}

/// A folder of CSV files, told as belonging to another organization: each story imports it for one of its own.
pub fn folder_as(path: &Path, external_id: &str) -> Folder {
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        name.ends_with(".csv").then(|| (name, std::fs::read(&path).expect("a file")))
    };
    let files = std::fs::read_dir(path).expect("a folder").filter_map(read).map(|(name, bytes)| {
        if name != "organization.csv" {
            return (name, bytes);
        }
        let text = String::from_utf8(bytes).expect("UTF-8");
        let (header, row) = text.split_once('\n').expect("a header");
        let (_, rest) = row.split_once(',').expect("columns");
        (name, format!("{header}\n{external_id},{rest}").into_bytes())
    });
    Folder::of(files.collect::<Vec<_>>())
}

impl App {
    /// The organization of a folder of CSV files, imported beside this one.
    pub async fn importing(&self, path: &Path) -> App {
        let external_id = format!("{}-imported", self.external_id);
        let report = self.import(path).await.expect("an import");
        let organization = report.organization.expect("an organization");
        App { organization, external_id, billing: self.billing.clone() }
    }

    /// Imports the folder for the organization that [`App::importing`] makes.
    pub async fn import(&self, path: &Path) -> Result<Report, ImportError> {
        let external_id = format!("{}-imported", self.external_id.trim_end_matches("-imported"));
        import::import(&self.billing, &folder_as(path, &external_id), None, &|_, _, _| {}).await
    }
}
