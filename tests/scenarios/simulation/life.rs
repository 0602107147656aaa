//! What people and jobs do meanwhile: other partners, reversals and holds by hand, statements, payouts.

use billing::attribution::{self, ByHand};
use billing::commissions::SourceKey;
use billing::commissions::by_hand::{self, NewReversal};
use billing::partners::{self, PartnerStatus};
use billing::payouts::{self, NewPayoutRun, Payout, PayoutFilter, PayoutRun, PayoutStatus, RunFilter, RunStatus};
use billing::{Billing, Caller, Page};
use rand::RngExt;
use rand::seq::IndexedRandom;
use tests::eur;

use super::Play;
use super::model::Credit;

impl Play {
    /// A copy of the door, so that the history can be changed while it is used.
    fn door(&self) -> (Billing, Caller) {
        (self.scheme.app.billing.clone(), self.scheme.app.caller())
    }

    /// A customer is credited to somebody else, or to nobody, from a day on that may lie in the past.
    pub async fn reattribute(&mut self) {
        let customer = self.random.random_range(0..self.customers.len());
        let seat = match self.random.random_range(0..=self.members.len()) {
            nobody if nobody == self.members.len() => None,
            seat => Some(seat),
        };
        let from = self.today().plus_days(-self.random.random_range(0..45));
        self.say(format!("customer {customer} to {seat:?} from {from} on"));
        let input = ByHand {
            customer: self.customers[customer],
            enrollment: seat.map(|seat| self.members[seat].id()),
            from,
            reason: "by chance".to_owned(),
        };
        let (billing, caller) = self.door();
        attribution::attribute(&billing, &caller, &input).await.expect("an attribution");
        self.model.customers[customer].credits.push(Credit { from, seat });
    }

    /// Somebody takes back, holds or lets go.
    pub async fn by_hand(&mut self) {
        let sources: Vec<String> = self.model.book().into_keys().map(|(source, ..)| source).collect();
        let Some(source) = sources.choose(&mut self.random).cloned() else { return };
        let (billing, caller) = self.door();
        let key = SourceKey::invoice(&source);
        match self.random.random_range(0..3) {
            0 => {
                let minor = self.random.random_range(1..=self.model.invoice(&source).base());
                self.say(format!("{source}: {minor} of the base reversed by hand"));
                let input = NewReversal { source: key, amount: Some(eur(minor)), reason: "by chance".to_owned() };
                by_hand::reverse(&billing, &caller, &input).await.expect("a reversal");
                self.model.invoice(&source).by_hand += minor;
            }
            1 => {
                self.say(format!("{source} is held"));
                by_hand::hold(&billing, &caller, &key, "by chance").await.expect("a hold");
            }
            _ => {
                self.say(format!("{source} is released"));
                by_hand::release(&billing, &caller, &key).await.expect("a release");
            }
        }
    }

    pub async fn ripen(&mut self) {
        let (billing, caller) = self.door();
        let ripe = payouts::mature(&billing, caller.organization).await.expect("maturity");
        self.say(format!("{ripe} ripen"));
    }

    pub async fn state(&mut self) {
        let (billing, caller) = self.door();
        let made = payouts::make_due_statements(&billing, caller.organization).await.expect("statements");
        self.say(format!("{made} statements"));
    }

    /// A partner is suspended, or comes back.
    pub async fn suspend(&mut self) {
        let seat = self.random.random_range(0..self.members.len());
        let status = if self.suspended.remove(&seat) {
            PartnerStatus::Active
        } else {
            self.suspended.insert(seat);
            PartnerStatus::Suspended
        };
        self.say(format!("partner {seat} is {status}"));
        let (billing, caller) = self.door();
        let partner = self.members[seat].partner.id;
        partners::set_status(&billing, &caller, partner, status, None).await.expect("a status");
    }

    /// The next thing that can be done to a payout run or to a payout.
    pub async fn pay_out(&mut self) {
        let (billing, caller) = self.door();
        let page = Page::new(None, 100);
        let runs =
            payouts::runs(&billing, caller.organization, &page, &RunFilter::default()).await.expect("runs").items;
        let of = |status| runs.iter().find(|run: &&PayoutRun| run.status == status).map(|run| run.id);
        let choice = self.random.random_range(0..10);
        if let Some(run) = of(RunStatus::Approved) {
            if choice < 6 {
                self.say(format!("{run} is sent"));
                payouts::mark_sent(&billing, &caller, run).await.expect("a sent run");
            } else {
                self.say(format!("{run} is a draft again"));
                payouts::return_to_draft(&billing, &caller, run).await.expect("a draft");
            }
        } else if let Some(run) = of(RunStatus::Draft) {
            match choice {
                0 => drop(payouts::cancel(&billing, &caller, run).await.expect("a cancelled run")),
                1 => drop(payouts::recompute(&billing, &caller, run).await.expect("a draft")),
                _ => drop(payouts::approve(&billing, &caller, run, None).await.expect("an approval")),
            }
            self.say(format!("{run}: {choice}: cancelled, computed again, else approved"));
        } else if choice < 5 {
            let (run_key, program) = (self.name(), self.scheme.program.id);
            let run = NewPayoutRun { program, run_key, cut_off: None };
            let run = payouts::open(&billing, &caller, &run).await.expect("a run").into_inner();
            self.say(format!("{} is opened", run.id));
        } else {
            self.settle(&billing, &caller).await;
        }
    }

    /// The bank says something about one payout.
    async fn settle(&mut self, billing: &Billing, caller: &Caller) {
        use PayoutStatus::{Paid, Sent, Unknown};
        let page = Page::new(None, 500);
        let all = payouts::list(billing, caller.organization, &page, &PayoutFilter::default()).await;
        let mut open: Vec<Payout> = all.expect("payouts").items;
        open.retain(|payout| {
            matches!(payout.status, Sent | Unknown) || payout.status == Paid && self.count.is_multiple_of(4)
        });
        let Some(payout) = open.choose(&mut self.random) else { return };
        let (id, today) = (payout.id, self.today());
        let outcome = self.random.random_range(0..10);
        let failed = payout.status == Paid || outcome < 3;
        if failed {
            self.say(format!("{id}: {} fails", payout.status));
            payouts::mark_failed(billing, caller, id, "no such account", "the bank's letter").await.expect("a failure");
        } else if outcome < 5 && payout.status == Sent {
            self.say(format!("{id}: nobody knows"));
            payouts::mark_unknown(billing, caller, id).await.expect("an unknown payout");
        } else {
            self.say(format!("{id} is paid"));
            payouts::mark_paid(billing, caller, id, today, "the bank's statement").await.expect("a payment");
        }
    }
}
