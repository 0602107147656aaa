//! What Stripe tells: payments, refunds, disputes; and how it comes: at once, late, twice, to workers that die or meet.

use std::future::Future;
use std::task::Poll;

use billing::inbox::{self, Processed};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::Value;
use tests::events::{self, Bill, Line, Subscribed};

use super::model::{Dispute, Invoice, News};
use super::{DAY, Play};

/// Runs a piece of work until it was polled so often and drops it then, wherever it waits: a worker that dies.
async fn killed<T>(work: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut work = std::pin::pin!(work);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

impl Play {
    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    /// Stripe says something: it comes now, or some other time.
    pub async fn tell(&mut self, event: Value, news: News) {
        let late = self.chance(30);
        self.say(format!("{}{news:?}", if late { "will be late: " } else { "" }));
        self.late.push((event, news));
        if !late {
            let last = self.late.len() - 1;
            self.deliver(vec![last]).await;
        }
    }

    /// Posts some of what is still to come, and has it processed at the same time.
    async fn deliver(&mut self, mut places: Vec<usize>) {
        places.sort_unstable();
        let told: Vec<(Value, News)> = places.iter().rev().map(|place| self.late.remove(*place)).collect();
        for (event, _) in &told {
            for _ in 0..self.random.random_range(1..3) {
                self.scheme.desk.post(0, event).await;
            }
        }
        let dies = if self.chance(25) { Some(self.random.random_range(1..60)) } else { None };
        let workers = if self.chance(20) { 2 } else { 1 };
        let processed = told.iter().flat_map(|(event, _)| (0..workers).map(move |_| event)).map(|event| {
            let (billing, organization) = (&self.scheme.app.billing, self.scheme.app.organization);
            let id = event["id"].as_str().expect("an id");
            async move {
                if let Some(polls) = dies {
                    // Cut before, in the middle of, or after its transaction.
                    killed(inbox::process(billing, organization, id), polls).await;
                }
                let done = inbox::process(billing, organization, id).await.expect("processed");
                assert_eq!(done, Processed::Done, "{id}");
            }
        });
        futures::future::join_all(processed).await;
        for (event, news) in told {
            self.model.learn(&news);
            self.delivered.push(event);
        }
    }

    /// Some of what is late comes, several at once.
    pub async fn catch_up(&mut self) {
        let mut places: Vec<usize> = (0..self.late.len()).collect();
        places.shuffle(&mut self.random);
        places.truncate(self.random.random_range(1..5));
        let names: Vec<&News> = places.iter().map(|place| &self.late[*place].1).collect();
        self.say(format!("comes late: {names:?}"));
        self.deliver(places).await;
    }

    /// Stripe says again what it said, or somebody has it processed again.
    pub async fn say_again(&mut self) {
        let Some(event) = self.delivered.choose(&mut self.random).cloned() else { return };
        let id = event["id"].as_str().expect("an id").to_owned();
        self.say(format!("again: {id}"));
        self.scheme.desk.post(0, &event).await;
        let app = &self.scheme.app;
        if self.random.random_bool(0.5) {
            inbox::replay(&app.billing, &app.caller(), std::slice::from_ref(&id), None).await.expect("a replay");
        }
        inbox::process(&app.billing, app.organization, &id).await.expect("processed");
    }

    fn minor(&mut self, least: i64, most: i64) -> i64 {
        self.random.random_range(least..most)
    }

    /// A customer pays an invoice of one of its subscriptions; without one it begins one.
    pub async fn pay(&mut self) {
        let customer = self.random.random_range(0..self.customers.len());
        let stripe = format!("cus_{customer}");
        let running: Vec<String> = self
            .sold
            .iter()
            .filter(|sold| sold.customer == customer && sold.ended.is_none())
            .map(|sold| sold.id.clone())
            .collect();
        let known = running.choose(&mut self.random).cloned();
        let subscription = match known {
            Some(subscription) if !self.chance(6) => subscription,
            _ => self.subscribe(customer, &stripe).await,
        };
        let (name, at) = (self.name(), self.now);
        let begins = at - self.random.random_range(0..9) / 6 * self.random.random_range(0..60) * DAY;
        let months = if self.chance(12) { 12 } else { 1 };
        let shape = self.random.random_range(0..10);
        let plan_a = if shape < 8 { self.minor(700, 9_000) * months } else { 0 };
        let plan_b = if shape > 5 { self.minor(700, 9_000) * months } else { 0 };
        let once = if self.chance(30) { self.minor(100, 20_000) } else { 0 };
        let tax = if self.chance(50) { (plan_a + plan_b + once) / 4 } else { 0 };
        let total = plan_a + plan_b + once + tax;
        let from_balance = if self.chance(15) { self.minor(1, total / 2) } else { 0 };

        let mut bill = Bill::at(&stripe, &name, at).from_balance(from_balance);
        let mut vat = tax;
        for (amount, price) in [(plan_a, "price_a"), (plan_b, "price_b")].into_iter().filter(|(amount, _)| *amount > 0)
        {
            let line = Line::seconds(amount, begins, begins + 30 * months * DAY).at(price).of(&subscription);
            bill = bill.line(line.tax(std::mem::take(&mut vat)));
        }
        if once > 0 {
            bill = bill.line(Line::one_off(once, &self.today().to_string()));
        }
        let id = format!("in_{name}");
        let starts = billing_primitives::Timestamp::from_microseconds(begins * 1_000_000).expect("an instant");
        let invoice = Invoice {
            customer,
            subscription,
            paid_at: at,
            starts: starts.date_in(&billing_primitives::TimeZone::utc()),
            plan_a,
            plan_b,
            once,
            tax,
            from_balance,
            told: false,
            linked: false,
            refunds: std::collections::BTreeMap::new(),
            dispute: None,
            by_hand: 0,
            credited: None,
        };
        assert_eq!(invoice.cash(), bill.cash());
        self.say(format!("{id}: {invoice:?}"));
        self.model.invoices.insert(id.clone(), invoice);
        self.tell(bill.paid(), News::Paid(id.clone())).await;
        self.tell(bill.link(), News::Linked(id)).await;
    }

    async fn subscribe(&mut self, customer: usize, stripe: &str) -> String {
        let id = format!("sub_{}", self.name());
        let at = self.now;
        self.sold.push(Sold { customer, id: id.clone(), began: at, ended: None });
        let event = Subscribed::of(stripe, &id, at).created();
        self.tell(event, News::Subscribed { customer, subscription: id.clone(), at }).await;
        id
    }

    /// A subscription ends at once.
    pub async fn cancel(&mut self) {
        let running: Vec<usize> = (0..self.sold.len()).filter(|place| self.sold[*place].ended.is_none()).collect();
        let Some(place) = running.choose(&mut self.random).copied() else { return };
        let at = self.now;
        self.sold[place].ended = Some(at);
        let Sold { customer, id, began, .. } = self.sold[place].clone();
        let event = Subscribed::of(&format!("cus_{customer}"), &id, began).deleted(at);
        self.tell(event, News::Ended { customer, subscription: id, started: began, at }).await;
    }

    fn any_invoice(&mut self) -> Option<(String, i64)> {
        let all: Vec<(&String, &Invoice)> = self.model.invoices.iter().collect();
        all.choose(&mut self.random).map(|(id, invoice)| ((*id).clone(), invoice.cash()))
    }

    /// Part of what was paid goes back, or all that is left.
    pub async fn refund(&mut self) {
        let Some((invoice, cash)) = self.any_invoice() else { return };
        let of_it = self.refunds.iter().filter(|refund| refund.invoice == invoice && !refund.failed);
        let left = cash - of_it.map(|refund| refund.minor).sum::<i64>();
        if left <= 0 {
            return;
        }
        let minor = if self.chance(35) { left } else { self.minor(1, left + 1) };
        let (refund, at) = (self.name(), self.now);
        let bill = invoice.trim_start_matches("in_").to_owned();
        let event = events::refunded(&bill, &refund, at, minor);
        self.refunds.push(Refund { invoice: invoice.clone(), name: refund.clone(), minor, failed: false });
        self.tell(event, News::Refunded { invoice, refund, minor, failed: false }).await;
    }

    /// The customer's bank sends a refund back.
    pub async fn fail_refund(&mut self) {
        let standing: Vec<usize> = (0..self.refunds.len()).filter(|place| !self.refunds[*place].failed).collect();
        let Some(place) = standing.choose(&mut self.random).copied() else { return };
        self.refunds[place].failed = true;
        let Refund { invoice, name, minor, .. } = self.refunds[place].clone();
        let event = events::refund_failed(invoice.trim_start_matches("in_"), &name, self.now, minor);
        self.tell(event, News::Refunded { invoice, refund: name, minor, failed: true }).await;
    }

    /// A customer has its bank take money back: all of it, or a part.
    pub async fn dispute(&mut self) {
        let Some((invoice, cash)) = self.any_invoice() else { return };
        if self.disputes.contains_key(&invoice) {
            return;
        }
        let minor = if self.chance(70) { cash } else { self.minor(1, cash + 1) };
        self.disputes.insert(invoice.clone(), (minor, true));
        let bill = invoice.trim_start_matches("in_").to_owned();
        let event = events::dispute("created", &bill, self.now, minor, "needs_response", &[-minor]);
        self.tell(event, News::Disputed { invoice, minor, state: Dispute::Open }).await;
    }

    /// A dispute is won or lost.
    pub async fn decide_dispute(&mut self) {
        let open: Vec<String> =
            self.disputes.iter().filter(|(_, (_, open))| *open).map(|(invoice, _)| invoice.clone()).collect();
        let Some(invoice) = open.choose(&mut self.random).cloned() else { return };
        let (minor, _) = self.disputes[&invoice];
        self.disputes.insert(invoice.clone(), (minor, false));
        let won = self.chance(50);
        let (status, moved) = if won { ("won", vec![-minor, minor]) } else { ("lost", vec![-minor]) };
        let bill = invoice.trim_start_matches("in_").to_owned();
        let event = events::dispute("closed", &bill, self.now, minor, status, &moved);
        let state = if won { Dispute::Won } else { Dispute::Lost };
        self.tell(event, News::Disputed { invoice, minor, state }).await;
    }
}

/// A subscription as it is, whatever was told of it.
#[derive(Debug, Clone)]
pub struct Sold {
    customer: usize,
    id: String,
    began: i64,
    ended: Option<i64>,
}

/// A refund as it is, whatever was told of it.
#[derive(Debug, Clone)]
pub struct Refund {
    invoice: String,
    name: String,
    minor: i64,
    failed: bool,
}
