//! The affiliate side in words, and as JSON.

use billing::explain::Explanation;
use billing::payouts::{Balance, Iban};
use billing::programs::terms::{Reward, Terms};
use billing_primitives::{BasisPoints, EnrollmentId, Money};
use serde_json::{Value, json};

use super::told::{Back, Row, Told};
use crate::cli::output::{Table, counted};
use crate::cli::run::money;

/// How deep the explanation is printed; all of it is a query away.
const DEPTH: usize = 4;

/// Queries to try, with what they show.
const QUERIES: [(&str, &str); 3] = [
    (
        "what was earned, and why",
        "{ commissions(first: 3) { nodes { sourceId level earned { amount currency } reversed { amount } state \
         explanation { label formula parts { label formula amount { amount } } } } } }",
    ),
    (
        "what is paid out, and who is left out",
        "{ payoutRuns(first: 3) { nodes { runKey status totals { net { amount currency } } payouts { nodes { partner \
         { externalId } net { amount } status } } leftOut { nodes { reason balance { amount } } } } } }",
    ),
    (
        "where a partner stands",
        "{ partner(externalId: \\\"P-1002\\\") { legalName enrollments { balance { held { amount currency } payable { \
         amount } debt { amount } inPayout { amount } paid { amount } } tierProgress { tier { name } } } } }",
    ),
];

impl Told {
    /// For people. `url` and `token` are those of the demonstration.
    pub fn text(&self, url: &str, token: &str) -> String {
        let (affiliate, run) = (&self.affiliate, &self.affiliate.run);
        let mut text = format!(
            "\n{} ({}) since {}\n{}\n\n{}",
            affiliate.program.name,
            affiliate.program.external_id,
            affiliate.first,
            terms(&self.terms, affiliate.program.currency),
            partners(&self.partners),
        );
        text.push('\n');
        text.push_str(&back("Refund", &self.refund));
        text.push_str(&back("Chargeback", &self.chargeback));
        text.push_str(&format!(
            "\nPayout run {} ({}): {}, {}, {} to transfer\n\n{}",
            run.run_key,
            run.id,
            run.status,
            counted(self.totals.payouts, "payout"),
            self.totals.net,
            self.payouts(),
        ));
        for row in &self.left_out {
            let who = self.name(row.enrollment_id);
            text.push_str(&format!("{who} is left out: {}, {}\n", row.reason, row.balance()));
        }
        text.push_str("\nWhy a commission is what it is:\n\n");
        explain(&self.explained, 0, &mut text);
        text.push_str(&format!("\nStripe    {url}/webhooks/stripe/{}\n", affiliate.endpoint));
        for (what, query) in QUERIES {
            text.push_str(&format!(
                "\n# {what}\ncurl -s {url}/graphql -H 'Authorization: Bearer {token}' \
                 -H 'Content-Type: application/json' -d '{{\"query\":\"{query}\"}}'\n"
            ));
        }
        text
    }

    fn name(&self, enrollment: EnrollmentId) -> String {
        let row = self.partners.iter().find(|row| row.enrollment == enrollment);
        row.map_or_else(|| enrollment.to_string(), |row| row.partner.external_id.clone())
    }

    fn payouts(&self) -> Table {
        let mut table = Table::new(&["partner", ">payable", ">debt netted", ">to transfer", "account", "status"]);
        for payout in &self.payouts {
            table.row([
                self.name(payout.enrollment_id),
                payout.money(payout.payable_minor).to_string(),
                payout.money(payout.offset_minor).to_string(),
                payout.net().to_string(),
                payout.iban.as_ref().map_or_else(|| "-".to_owned(), Iban::masked),
                payout.status.to_string(),
            ]);
        }
        table
    }

    /// For programs.
    pub fn json(&self, url: &str) -> Value {
        let (affiliate, run) = (&self.affiliate, &self.affiliate.run);
        let payouts = self.payouts.iter().map(|payout| {
            json!({
                "id": payout.id.to_string(), "partner": self.name(payout.enrollment_id), "status": payout.status,
                "payable": money(payout.money(payout.payable_minor)),
                "offset": money(payout.money(payout.offset_minor)), "net": money(payout.net()),
            })
        });
        let left_out = self.left_out.iter().map(|row| {
            json!({ "partner": self.name(row.enrollment_id), "reason": row.reason, "balance": money(row.balance()) })
        });
        json!({
            "program": {
                "id": affiliate.program.id.to_string(), "externalId": affiliate.program.external_id,
                "name": affiliate.program.name, "since": affiliate.first, "terms": self.terms,
            },
            "partners": self.partners.iter().map(Row::json).collect::<Vec<_>>(),
            "refund": self.refund.json(),
            "chargeback": self.chargeback.json(),
            "payoutRun": {
                "id": run.id.to_string(), "runKey": run.run_key, "status": run.status, "cutOff": run.cut_off,
                "net": money(self.totals.net), "payouts": payouts.collect::<Vec<_>>(),
                "leftOut": left_out.collect::<Vec<_>>(),
            },
            "explained": self.explained,
            "queries": QUERIES.map(|(_, query)| query.replace("\\\"", "\"")),
            "stripe": { "url": format!("{url}/webhooks/stripe/{}", affiliate.endpoint), "secret": affiliate.secret },
            "new": affiliate.new,
        })
    }
}

impl Row {
    fn json(&self) -> Value {
        let Balance { held, payable, debt, in_payout, paid, .. } = self.balance;
        json!({
            "partner": self.partner.external_id, "name": self.partner.legal_name, "tier": self.tier,
            "commissions": self.commissions, "earned": money(self.earned), "takenBack": money(self.taken_back),
            "paid": money(paid), "inPayout": money(in_payout), "held": money(held), "payable": money(payable),
            "debt": money(debt),
            "nextPayout": self.next.map(money),
        })
    }
}

impl Back {
    fn json(&self) -> Value {
        let commissions = self.commissions.iter().map(|one| {
            json!({
                "id": one.id.to_string(), "level": one.level, "earned": money(one.money(one.earned_minor)),
                "reversed": money(one.money(one.reversed_minor)),
            })
        });
        json!({
            "invoice": self.invoice, "amount": money(self.amount), "commissions": commissions.collect::<Vec<_>>(),
        })
    }
}

/// The terms in a sentence.
fn terms(terms: &Terms, currency: billing_primitives::Currency) -> String {
    let reward = |reward: &Reward| match reward {
        Reward::Percent(rate) => percent(*rate),
        Reward::Flat(minor) => Money::new(*minor, currency).to_string(),
    };
    let tiers = terms.tiers.iter().map(|tier| {
        let phases =
            tier.phases.iter().map(|phase| format!("{} from month {}", reward(&phase.reward), phase.from_month));
        format!("{}: {}", tier.name, phases.collect::<Vec<_>>().join(", "))
    });
    let upline = terms.upline.iter().map(|rate| format!("{} of that to the recruiter; ", percent(*rate)));
    format!(
        "{}; {}held {} days, paid out from {}",
        tiers.collect::<Vec<_>>().join("; "),
        upline.collect::<String>(),
        terms.hold_days,
        Money::new(terms.payout_threshold_minor, currency),
    )
}

/// `20 %`, `12.5 %`.
fn percent(rate: BasisPoints) -> String {
    let (whole, rest) = (rate.get() / 100, rate.get() % 100);
    if rest == 0 {
        return format!("{whole} %");
    }
    format!("{whole}.{} %", format!("{rest:02}").trim_end_matches('0'))
}

fn partners(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "partner",
        "name",
        "tier",
        ">earned",
        ">taken back",
        ">paid",
        ">in payout",
        ">held",
        ">payable",
        ">debt",
        ">next payout",
    ]);
    for row in rows {
        table.row([
            row.partner.external_id.clone(),
            row.partner.legal_name.clone(),
            row.tier.clone(),
            row.earned.to_string(),
            row.taken_back.to_string(),
            row.balance.paid.to_string(),
            row.balance.in_payout.to_string(),
            row.balance.held.to_string(),
            row.balance.payable.to_string(),
            row.balance.debt.to_string(),
            row.next.map_or_else(|| "-".to_owned(), |next| next.to_string()),
        ]);
    }
    table
}

fn back(what: &str, back: &Back) -> String {
    let levels = back.commissions.iter().map(|one| {
        format!("{} of {} (level {})", one.money(one.reversed_minor), one.money(one.earned_minor), one.level)
    });
    let levels = levels.collect::<Vec<_>>().join(", ");
    format!("{what:<10} {} of invoice {}: takes back {levels}\n", back.amount, back.invoice)
}

fn explain(part: &Explanation, depth: usize, text: &mut String) {
    text.push_str(&format!("{}{}", "  ".repeat(depth + 1), part.label));
    match part.amount {
        Some(amount) => text.push_str(&format!("  {amount}")),
        None => {
            let inputs = part.inputs.iter().map(|input| format!("{} {}", input.name, input.value));
            text.push_str(&format!(": {}", inputs.collect::<Vec<_>>().join(", ")));
        }
    }
    if let Some(formula) = &part.formula {
        text.push_str(&format!("  = {formula}"));
    }
    text.push('\n');
    if depth + 1 < DEPTH {
        part.parts.iter().for_each(|part| explain(part, depth + 1, text));
    }
}
