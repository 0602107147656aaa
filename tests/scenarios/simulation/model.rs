//! A second opinion on what partners earn: written from the contract alone, in plain integers, without the product's rules.
//!
//! It knows what was told so far and works everything out again each time. Only one thing it takes from the product:
//! which sources a statement shows, for these stay where they are.

use std::collections::{BTreeMap, BTreeSet};

use billing_primitives::{Date, TimeZone, Timestamp};

const DAY: i64 = 86_400;

/// Rates in basis points, each from a month of the customer on.
pub type Phases = Vec<(i64, i64)>;

#[derive(Debug, Clone)]
pub struct Tier {
    pub customers: i64,
    pub revenue: i64,
    pub phases: Phases,
}

#[derive(Debug, Clone)]
pub struct Rules {
    pub from: Date,
    pub new_customers_only: bool,
    pub tiers: Vec<Tier>,
    /// Of everything sold as plan B.
    pub plan_b: i64,
    pub upline: Vec<i64>,
    pub max_share: i64,
    pub window_days: i64,
    pub disputes_at_once: bool,
}

/// A partner in the programme; the number is its place.
#[derive(Debug, Clone)]
pub struct Seat {
    pub parent: Option<usize>,
    pub report_only: bool,
    pub agreed: Option<Phases>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispute {
    Open,
    Won,
    Lost,
}

/// A Stripe invoice, of which `told` says whether its payment is known, and `linked` by what it was paid.
#[derive(Debug, Clone)]
pub struct Invoice {
    pub customer: usize,
    pub subscription: String,
    pub paid_at: i64,
    /// First day of its period, in UTC.
    pub starts: Date,
    pub plan_a: i64,
    pub plan_b: i64,
    pub once: i64,
    pub tax: i64,
    pub from_balance: i64,
    pub told: bool,
    pub linked: bool,
    /// Minor units, and whether it failed.
    pub refunds: BTreeMap<String, (i64, bool)>,
    pub dispute: Option<(i64, Dispute)>,
    pub by_hand: i64,
    /// The attribution that it went to when it was worked out last.
    pub credited: Option<usize>,
}

impl Invoice {
    pub fn cash(&self) -> i64 {
        self.total() - self.from_balance
    }

    fn total(&self) -> i64 {
        self.plan_a + self.plan_b + self.once + self.tax
    }

    pub fn base(&self) -> i64 {
        round((self.plan_a + self.plan_b) * self.cash(), self.total())
    }
}

/// What Stripe tells.
#[derive(Debug, Clone)]
pub enum News {
    Paid(String),
    Linked(String),
    Refunded { invoice: String, refund: String, minor: i64, failed: bool },
    Disputed { invoice: String, minor: i64, state: Dispute },
    Subscribed { customer: usize, subscription: String, at: i64 },
    Ended { customer: usize, subscription: String, started: i64, at: i64 },
}

/// To whom a customer is credited from a day on.
#[derive(Debug, Clone, Copy)]
pub struct Credit {
    pub from: Date,
    pub seat: Option<usize>,
}

#[derive(Debug, Clone, Default)]
pub struct Customer {
    /// In the order of writing.
    pub credits: Vec<Credit>,
    /// When it began, and when it ended.
    pub subscriptions: BTreeMap<String, (i64, Option<i64>)>,
}

/// By invoice, level and seat: earned, and how much of it is taken back. What earns nothing is left out.
pub type Book = BTreeMap<(String, i32, usize), (i64, i64)>;

/// What one invoice comes to.
struct Found {
    credited: usize,
    seats: Vec<usize>,
    earned: Vec<i64>,
    base: i64,
    gone: i64,
}

pub struct Model {
    pub zone: TimeZone,
    pub rules: Vec<Rules>,
    pub seats: Vec<Seat>,
    pub customers: Vec<Customer>,
    pub invoices: BTreeMap<String, Invoice>,
    /// The tier of a seat in a month.
    pub tiers: BTreeMap<(usize, String), usize>,
    /// Invoices that a statement shows.
    pub stated: BTreeSet<String>,
}

/// To the nearest, halves away from zero.
fn round(numerator: i64, denominator: i64) -> i64 {
    let (n, d) = (i128::from(numerator), i128::from(denominator));
    let magnitude = (2 * n.abs() + d) / (2 * d);
    i64::try_from(magnitude * n.signum()).expect("a small amount")
}

/// Year, month and day.
fn civil(date: Date) -> (i64, i64, i64) {
    let text = date.to_string();
    let mut parts = text.split('-').map(|part| part.parse().expect("a number"));
    let mut next = || parts.next().expect("a part");
    (next(), next(), next())
}

fn days_of((year, month): (i64, i64)) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        [usize::try_from(month - 1).expect("a month")]
}

/// How many months of the customer have begun: the anchor's day, or the last one of a shorter month, begins the next.
fn month_no(anchor: Date, starts: Date) -> i64 {
    let ((year, month, day), starts) = (civil(anchor), civil(starts));
    let begins = |number: i64| {
        let months = year * 12 + month - 1 + number;
        let (year, month) = (months / 12, months % 12 + 1);
        (year, month, day.min(days_of((year, month))))
    };
    (1..).take_while(|number| begins(number - 1) <= starts).last().unwrap_or(1)
}

fn rate(phases: &Phases, month: i64) -> i64 {
    phases.iter().rev().find(|(from, _)| *from <= month).expect("a phase").1
}

impl Model {
    pub fn learn(&mut self, news: &News) {
        match news {
            News::Paid(id) => self.invoice(id).told = true,
            News::Linked(id) => self.invoice(id).linked = true,
            News::Refunded { invoice, refund, minor, failed } => {
                let known = self.invoice(invoice).refunds.entry(refund.clone()).or_insert((*minor, false));
                known.1 |= failed;
            }
            News::Disputed { invoice, minor, state } => {
                let known = &mut self.invoice(invoice).dispute;
                if known.is_none() || *state != Dispute::Open {
                    *known = Some((*minor, *state));
                }
            }
            News::Subscribed { customer, subscription, at } => {
                self.customers[*customer].subscriptions.entry(subscription.clone()).or_insert((*at, None));
            }
            News::Ended { customer, subscription, started, at } => {
                self.customers[*customer].subscriptions.insert(subscription.clone(), (*started, Some(*at)));
            }
        }
    }

    pub fn invoice(&mut self, id: &str) -> &mut Invoice {
        self.invoices.get_mut(id).expect("an invoice")
    }

    pub fn day(&self, at: i64) -> Date {
        Timestamp::from_microseconds(at * 1_000_000).expect("an instant").date_in(&self.zone)
    }

    /// Everything that should be booked.
    pub fn book(&mut self) -> Book {
        let mut book = Book::new();
        let found: Vec<(String, Option<Found>)> =
            self.invoices.iter().map(|(id, invoice)| (id.clone(), self.find(id, invoice))).collect();
        for (id, found) in found {
            self.invoice(&id).credited = found.as_ref().map(|found| found.credited);
            let Some(found) = found else { continue };
            for ((level, seat), earned) in
                (1..).zip(&found.seats).zip(&found.earned).filter(|(_, earned)| **earned != 0)
            {
                let reversed = if found.gone >= found.base { *earned } else { round(earned * found.gone, found.base) };
                book.insert((id.clone(), level, *seat), (*earned, reversed));
            }
        }
        book
    }

    fn find(&self, id: &str, invoice: &Invoice) -> Option<Found> {
        let day = self.day(invoice.paid_at);
        let credits = &self.customers[invoice.customer].credits;
        let begun = credits.iter().enumerate().filter(|(_, credit)| credit.from <= day);
        let last = begun.max_by_key(|(place, credit)| (credit.from, *place)).map(|(place, _)| place);
        let stays = invoice.credited.filter(|_| self.stated.contains(id));
        let credited = stays.or(last).filter(|_| invoice.told)?;
        let first = credits[credited].seat?;
        let rules = self.rules_on(day, credits[credited].from)?;

        let mut seats = vec![first];
        while let Some(parent) = self.seats[*seats.last()?].parent.filter(|_| seats.len() <= rules.upline.len()) {
            if self.seats[*seats.last()?].report_only {
                break;
            }
            seats.push(parent);
        }
        let base = invoice.base();
        let mut earned = vec![self.first_level(invoice, rules, first, day)];
        for bps in rules.upline.iter().take(seats.len() - 1) {
            earned.push(round(earned.last()? * bps, 10_000));
        }
        let mut above = earned.iter().sum::<i64>() - round(base * rules.max_share, 10_000);
        for amount in earned.iter_mut().rev() {
            let cut = above.clamp(0, *amount);
            *amount -= cut;
            above -= cut;
        }
        let gone = self.gone(invoice, rules);
        Some(Found { credited, seats, earned, base, gone })
    }

    fn rules_on(&self, day: Date, credited_from: Date) -> Option<&Rules> {
        let holds = |rules: &&Rules| rules.from <= day && (!rules.new_customers_only || credited_from >= rules.from);
        self.rules.iter().rev().find(holds)
    }

    fn first_level(&self, invoice: &Invoice, rules: &Rules, seat: usize, day: Date) -> i64 {
        let paid = self.invoices.values().filter(|other| other.told && other.customer == invoice.customer);
        let anchor = paid.filter(|other| other.base() > 0).map(|other| other.starts).min();
        let month = month_no(anchor.unwrap_or(invoice.starts), invoice.starts);
        let tier = self.tiers.get(&(seat, day.month().to_string())).copied().unwrap_or(0);
        let default = rate(&rules.tiers[tier].phases, month);
        let (a, b) = match &self.seats[seat].agreed {
            Some(agreed) => (rate(agreed, month), rate(agreed, month)),
            None => (default, rules.plan_b),
        };
        let weighted = invoice.plan_a * a + invoice.plan_b * b;
        round(invoice.base() * weighted, (invoice.plan_a + invoice.plan_b) * 10_000).min(invoice.base())
    }

    /// How much of the base is gone.
    fn gone(&self, invoice: &Invoice, rules: &Rules) -> i64 {
        let (base, cash) = (invoice.base(), invoice.cash());
        let mut back: i64 = invoice.refunds.values().filter(|(_, failed)| !failed).map(|(minor, _)| minor).sum();
        back += match invoice.dispute {
            Some((minor, Dispute::Lost)) => minor,
            Some((minor, Dispute::Open)) if rules.disputes_at_once => minor,
            _ => 0,
        };
        // Without the link nobody knows whose money went back.
        let returned = match back {
            back if !invoice.linked || back == 0 => 0,
            back if back >= cash => base,
            back => round(base * back, cash),
        };
        let cancelled = if self.cancelled(invoice, rules) { base } else { 0 };
        (returned + cancelled + invoice.by_hand).min(base)
    }

    fn cancelled(&self, invoice: &Invoice, rules: &Rules) -> bool {
        let known = &self.customers[invoice.customer].subscriptions;
        let Some((_, Some(ended))) = known.get(&invoice.subscription) else { return false };
        let of_it = self.invoices.values().filter(|other| other.told && other.subscription == invoice.subscription);
        let Some(first) = of_it.map(|other| other.paid_at).min() else { return false };
        let other = known.iter().any(|(other, (began, over))| {
            *other != invoice.subscription && began <= ended && over.is_none_or(|over| over > *ended)
        });
        *ended < first + rules.window_days * DAY && !other
    }

    /// The tiers of a month, from what is known when it begins.
    pub fn evaluate(&mut self, first: Date) {
        let month = first.month();
        let begins = self.zone.start_of(first).expect("a day").microseconds() / 1_000_000;
        let since = (0..12).fold(month, |month, _| month.previous()).first();
        let mut revenue = vec![0; self.seats.len()];
        let mut bases = vec![0; self.customers.len()];
        for (id, invoice) in self.invoices.iter().filter(|(_, invoice)| invoice.paid_at < begins) {
            let Some(found) = self.find(id, invoice) else { continue };
            let left = found.base - found.gone;
            bases[invoice.customer] += left;
            if self.day(invoice.paid_at) >= since {
                revenue[found.seats[0]] += left;
            }
        }
        let mut converted = vec![0; self.seats.len()];
        for (customer, left) in self.customers.iter().zip(&bases) {
            let begun = customer.credits.iter().enumerate().filter(|(_, credit)| credit.from <= first);
            let now = begun.max_by_key(|(place, credit)| (credit.from, *place)).and_then(|(_, credit)| credit.seat);
            if let (Some(seat), true) = (now, *left > 0) {
                converted[seat] += 1;
            }
        }
        let Some(rules) = self.rules.iter().rev().find(|rules| rules.from <= first) else { return };
        for seat in 0..self.seats.len() {
            let reached = |tier: &Tier| tier.customers <= converted[seat] && tier.revenue <= revenue[seat];
            let tier = rules.tiers.iter().rposition(reached).unwrap_or(0);
            self.tiers.insert((seat, month.to_string()), tier);
        }
    }
}
