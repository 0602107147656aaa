//! From decisions to rows: loads positions under their locks, and writes what was decided about them.
//!
//! Steps, settlements, credit balances and the books are written together or not at all, so they cannot drift apart.

use std::collections::BTreeMap;

use billing_db::Conn;
use billing_ledger::Posting;
use billing_primitives::{Currency, Date, InvoiceId, Money, OrganizationId, PartnerId, SettlementEntryId, Timestamp};

use super::rules::{Position, Standing, Step, uses};
use super::store::{self, NewEntry};
use super::{CreditBalance, StepKind};
use crate::chart;
use crate::error::{Error, Refusal};
use crate::events::{self, NewEvent};

/// One partner in one currency.
pub(super) type AccountKey = (PartnerId, Currency);

/// A position as it was and as it has become.
pub(super) struct Account {
    pub key: AccountKey,
    before: Position,
    pub now: Position,
}

impl Account {
    pub fn new(key: AccountKey, position: Position) -> Account {
        Account { key, before: position.clone(), now: position }
    }

    fn changed(&self) -> impl Iterator<Item = (&Standing, &Standing)> {
        // Both are in the same order: invoices are neither added nor taken away.
        self.before.invoices().iter().zip(self.now.invoices()).filter(|(before, now)| before != now)
    }
}

/// Locks the partners and their settlements; returns what may change, and the named invoices.
///
/// # Errors
/// Faults of the database.
pub(super) async fn lock(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    invoices: &[InvoiceId],
) -> Result<BTreeMap<AccountKey, Account>, Error> {
    store::lock_partners(conn, organization, partners).await?;
    let rows = store::lock_settlements(conn, organization, partners, invoices).await?;
    let using: Vec<InvoiceId> =
        rows.iter().filter(|row| row.from_balance_minor > 0).map(|row| row.invoice_id).collect();
    let moved = store::uses(conn, organization, &using).await?;
    let owners: BTreeMap<InvoiceId, AccountKey> =
        rows.iter().map(|row| (row.invoice_id, (row.partner_id, row.currency))).collect();

    #[derive(Default)]
    struct Parts {
        standings: Vec<Standing>,
        moved: Vec<super::rules::Use>,
        balance: i64,
    }
    let mut parts: BTreeMap<AccountKey, Parts> = BTreeMap::new();
    for row in &rows {
        parts.entry((row.partner_id, row.currency)).or_default().standings.push(row.standing());
    }
    for step in moved {
        if let Some(key) = owners.get(&step.invoice) {
            parts.entry(*key).or_default().moved.push(step);
        }
    }
    for row in store::balances(conn, organization, partners).await? {
        parts.entry((row.partner_id, row.currency)).or_default().balance = row.balance_minor;
    }
    let account = |(key, parts): (AccountKey, Parts)| {
        let position = Position::new(key.1, parts.standings, parts.balance, uses(parts.moved));
        (key, Account::new(key, position))
    };
    Ok(parts.into_iter().map(account).collect())
}

/// The account of `key`, which has one as soon as there is a settlement or a balance.
///
/// # Errors
/// [`Refusal::NotFound`].
pub(super) fn of(accounts: &mut BTreeMap<AccountKey, Account>, key: AccountKey) -> Result<&mut Account, Refusal> {
    accounts.get_mut(&key).ok_or_else(|| Refusal::not_found("partner", "settlement of partner", key.0))
}

/// What is to be written of one command.
pub(super) struct Journal {
    organization: OrganizationId,
    on: Date,
    now: Timestamp,
    entries: Vec<NewEntry>,
    postings: Vec<Posting>,
    events: Vec<NewEvent>,
}

impl Journal {
    pub fn new(organization: OrganizationId, on: Date, now: Timestamp) -> Journal {
        Journal { organization, on, now, entries: Vec::new(), postings: Vec::new(), events: Vec::new() }
    }

    /// The posting of the fact itself.
    pub fn post(&mut self, posting: Posting) {
        self.postings.push(posting);
    }

    pub fn tell(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// Steps that `source` caused, and what they move in the books beside the fact's own posting.
    ///
    /// # Errors
    /// [`Refusal::AmountOverflow`].
    pub fn steps(&mut self, key: AccountKey, source: &str, memo: &str, steps: Vec<Step>) -> Result<(), Refusal> {
        self.consequences(key, source, &steps)?;
        self.entries.extend(steps.into_iter().map(|step| NewEntry {
            id: SettlementEntryId::new(),
            partner: key.0,
            currency: key.1,
            step,
            source: source.to_owned(),
            memo: memo.to_owned(),
        }));
        Ok(())
    }

    /// Steps of an act that is recorded nowhere else: the first one's id is their source, and is returned.
    ///
    /// # Errors
    /// [`Refusal::AmountOverflow`].
    pub fn act(&mut self, key: AccountKey, memo: &str, steps: Vec<Step>) -> Result<SettlementEntryId, Refusal> {
        let (first, id) = (self.entries.len(), SettlementEntryId::new());
        self.steps(key, &id.to_string(), memo, steps)?;
        if let Some(entry) = self.entries.get_mut(first) {
            entry.id = id;
        }
        Ok(id)
    }

    fn consequences(&mut self, key: AccountKey, source: &str, steps: &[Step]) -> Result<(), Refusal> {
        let moves = |step: &Step| matches!(step.kind, StepKind::FromBalance | StepKind::ToBalance);
        // A write-off is a fact of its own and has its own posting.
        let recovers = |step: &Step| step.bad_debts != 0 && step.kind != StepKind::WriteOff;
        let moved = amounts(key.1, steps.iter().filter(|step| moves(step)).map(|step| step.amount))?;
        let recovered = amounts(key.1, steps.iter().filter(|step| recovers(step)).map(|step| step.bad_debts))?;
        self.postings.push(chart::credit_balance_moved(source.to_owned(), key.0, self.on, &moved)?);
        self.postings.push(chart::bad_debts_recovered(source.to_owned(), key.0, self.on, &recovered)?);
        Ok(())
    }

    /// Writes everything; tells the outbox which invoices are paid now and were not before.
    ///
    /// # Errors
    /// Faults of the database.
    pub async fn write<'a>(
        mut self,
        conn: &mut Conn,
        accounts: impl IntoIterator<Item = &'a Account>,
    ) -> Result<(), Error> {
        let (mut settlements, mut balances) = (Vec::new(), Vec::new());
        for account in accounts {
            let (partner_id, currency) = account.key;
            for (before, now) in account.changed() {
                if before.due() > 0 && now.due() == 0 {
                    self.events.push(paid_event(now.invoice, partner_id));
                }
                settlements.push(now);
            }
            let balance_minor = account.now.balance();
            if balance_minor != account.before.balance() {
                balances.push(CreditBalance { partner_id, currency, balance_minor });
            }
        }
        if !settlements.is_empty() {
            store::update_settlements(conn, self.organization, &settlements).await?;
        }
        if !balances.is_empty() {
            store::put_balances(conn, self.organization, &balances).await?;
        }
        if !self.entries.is_empty() {
            store::insert_entries(conn, self.organization, self.on, self.now, &self.entries).await?;
        }
        billing_ledger::post(conn, self.organization, &self.postings).await?;
        events::record(conn, self.organization, self.now, &self.events).await?;
        Ok(())
    }
}

/// The steps' amounts the other way round: as the books move them.
fn amounts(currency: Currency, steps: impl Iterator<Item = i64>) -> Result<Vec<Money>, Refusal> {
    let opposite = |minor: i64| minor.checked_neg().map(|minor| Money::new(minor, currency));
    steps.map(opposite).collect::<Option<_>>().ok_or(Refusal::AmountOverflow)
}

pub(super) fn paid_event(invoice: InvoiceId, partner: PartnerId) -> NewEvent {
    let payload = serde_json::json!({ "invoice": invoice, "partner": partner });
    NewEvent::new(events::kind::INVOICE_PAID, invoice, payload)
}
