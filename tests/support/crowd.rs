//! A crowd of partners whose month can be billed in many steps, and what its documents come to.

use billing::catalog::Pricing;
use billing::invoicing::documents::{BillingRun, Invoice};
use billing::invoicing::run::{self, Goal};
use billing::subscriptions::rules::Seats;

use crate::{App, dkk, month};

/// What two ways to one result are compared by: numbers, dates and amounts, not ids and timestamps.
pub type Told = Vec<(Option<String>, String, i64, i64, i64)>;

impl App {
    /// So many partners with two customers each, and changes inside January; `chunk` partners to a transaction.
    pub async fn crowd(&mut self, partners: usize, chunk: i64) {
        self.billing.run_chunk = chunk;
        self.tiers("2026-01").await;
        let plan = self.plan("pro", Pricing::PerSeat).await;
        self.prices("2025-01-01", &[(&plan, dkk(9_995))]).await;
        for number in 0..partners {
            let partner = self.partner(&format!("P-{number:03}")).await;
            for customer in 0..2 {
                let name = format!("{number:03}-{customer}");
                let customer = self.customer(&name, Some(partner.id)).await;
                let seats = i64::try_from(number * 40 + 1).expect("a number of seats");
                let subscription = self.subscribe(&name, &customer, &plan, "2026-01-05", seats).await;
                self.seats(&format!("{name}-change"), &subscription, "2026-01-20", Seats::Delta(3)).await;
            }
        }
        self.on("2026-02-01");
    }

    /// Begins to finalize the crowd's month, or joins who did.
    pub async fn begin_january(&self) -> BillingRun {
        let begun = run::begin(&self.billing, &self.caller(), month("2026-01"), Goal::Finalized).await;
        begun.expect("a run").into_inner()
    }

    /// What nobody disturbed comes to, for a crowd of the same size in an organization of its own.
    pub async fn undisturbed(&self, partners: usize) -> Told {
        let mut other = App::new(self.billing.db.clone()).await;
        other.crowd(partners, 100).await;
        other.run("2026-01", Goal::Finalized).await;
        let told = other.told().await;
        assert_eq!(told.len(), partners);
        told
    }

    /// What the invoices come to.
    pub async fn told(&self) -> Told {
        let tell = |invoice: &Invoice| {
            let dates = format!("{:?} {:?}", invoice.issue_date, invoice.due_date);
            let amounts = (invoice.net_total_minor, invoice.vat_total_minor, invoice.gross_total_minor);
            (invoice.number.clone(), dates, amounts.0, amounts.1, amounts.2)
        };
        let mut told: Told = self.invoices().await.iter().map(tell).collect();
        told.sort();
        told
    }
}
