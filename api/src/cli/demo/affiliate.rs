//! The affiliate side of the demonstration: a programme, partners in it, and more than a year of what Stripe tells.
//!
//! Every step is a service that everybody uses: events are signed, received and processed as those of Stripe's are. Only
//! the clock is set by hand, so that the months pass: what is earned ripens, stands on statements and is paid out. The
//! last run is a draft. Steps that were done before are left alone, so a story that broke off goes on.

use billing::inbox::{self, NewEndpoint, Processed, Received};
use billing::organizations::Organization;
use billing::payouts::{self, NewPayoutDetails, NewPayoutRun, PayoutRun, RunStatus};
use billing::programs::enrollments::{self, Enrollment, NewEnrollment};
use billing::programs::evaluations::evaluate_month;
use billing::programs::terms::{Overrides, SettlementMode};
use billing::programs::{self, NewProgram, Program, versions};
use billing::{Billing, Caller, Clock, partners};
use billing_primitives::{Currency, Date, Month, Timestamp};

use super::cast::{
    BUYERS, Buyer, CHARGEBACK, ENDPOINT, MEMBERS, MONTHS, Member, PROGRAM, PROGRAM_NAME, REFUND, Return, terms,
};
use super::customers;
use super::stripe::{self, Event};
use crate::cli::Failure;
use crate::cli::output::{Output, counted};
use crate::cli::progress;

/// Hour of the day at which things happen, on the clock of the organization.
const HOUR: i64 = 10;

/// The day of a month on which the first customer pays; the others pay on the days after it.
const FIRST_PAYS: i32 = 5;

/// By this day of a month everything is ripe that was paid in the month before, also where that was February.
const ALL_RIPE: i32 = 13;

/// The programme as it stands when its story is told.
pub struct Affiliate {
    pub program: Program,
    /// The first month of the story.
    pub first: Month,
    /// The run of the last month.
    pub run: PayoutRun,
    /// The last part of the address to give to Stripe.
    pub endpoint: String,
    /// What Stripe signs with.
    pub secret: String,
    /// Whether any of it was made just now.
    pub new: bool,
}

/// The time and place of a step.
pub struct Stage<'a> {
    /// With a clock that is set by hand.
    pub billing: Billing,
    pub organization: &'a Organization,
    pub caller: Caller,
    pub program: Program,
    first: Month,
    endpoint: String,
    secret: String,
}

/// A failure of what the demonstration itself provides.
pub fn fault<E: std::fmt::Display>(error: E) -> Failure {
    Failure::fault(error)
}

/// Tells the story up to the month `last`, or finds it told. `secret` is that of the last time.
///
/// # Errors
/// Faults; refusals only when somebody changed what the story needs.
pub async fn tell(
    billing: &Billing,
    organization: &Organization,
    last: Month,
    secret: Option<String>,
    output: Output,
) -> Result<Affiliate, Failure> {
    let caller = Caller::operator(organization.id);
    let known = programs::by_external_id(billing, organization.id, PROGRAM).await?;
    let first = first(billing, organization, known.as_ref(), last).await?;
    let last = month(first, MONTHS - 1);
    let (endpoint, secret) = desk(billing, &caller, secret).await?;
    let told = match &known {
        Some(program) => payouts::run_by_key(billing, organization.id, program.id, &last.to_string()).await?,
        None => None,
    };
    if let (Some(run), Some(program)) = (told, known) {
        output.note("The affiliate side is known; nothing is new.");
        return Ok(Affiliate { program, first, run, endpoint, secret, new: false });
    }
    let mut stage = Stage::open(billing, organization, caller, first, (endpoint, secret)).await?;
    let bar = progress::bar(output, "Months", u64::try_from(MONTHS).unwrap_or_default());
    let mut events = 0;
    for month in 0..MONTHS {
        events += stage.month(month).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    // From here on it is today.
    stage.billing = billing.clone();
    let run = stage.open_run(last.last()).await?;
    payouts::mature(billing, organization.id).await?;
    evaluate_month(billing, organization.id, last.next()).await?;
    output.note(&format!("Stripe told {} of {} customers.", counted(events, "new event"), BUYERS.len()));
    let Stage { program, endpoint, secret, .. } = stage;
    Ok(Affiliate { program, first, run, endpoint, secret, new: true })
}

/// The first month of the story, which stays that of the first time it was told.
async fn first(
    billing: &Billing,
    organization: &Organization,
    program: Option<&Program>,
    last: Month,
) -> Result<Month, Failure> {
    let programs: Vec<_> = program.iter().map(|program| program.id).collect();
    let versions = versions::versions_of(billing, organization.id, &programs).await?;
    let begun = versions.first().and_then(|version| version.effective_from).map(Date::month);
    Ok(begun.unwrap_or_else(|| (1..MONTHS).fold(last, |month, _| month.previous())))
}

/// A month of a story, by its place.
pub fn month(first: Month, place: usize) -> Month {
    (0..place).fold(first, |month, _| month.next())
}

/// The endpoint of the demonstration and its secret; a secret that nobody remembers is replaced.
async fn desk(billing: &Billing, caller: &Caller, secret: Option<String>) -> Result<(String, String), Failure> {
    let all = inbox::endpoints(billing, caller.organization).await?;
    let known = all.into_iter().find(|endpoint| endpoint.name == ENDPOINT);
    // Half of either is random.
    let fresh = || format!("whsec_{}{}", uuid::Uuid::now_v7().simple(), uuid::Uuid::now_v7().simple());
    match (known, secret) {
        (Some(endpoint), Some(secret)) => Ok((endpoint.id.to_string(), secret)),
        (Some(endpoint), None) => {
            let secret = fresh();
            inbox::replace_secrets(billing, caller, endpoint.id, std::slice::from_ref(&secret)).await?;
            Ok((endpoint.id.to_string(), secret))
        }
        (None, _) => {
            let secret = fresh();
            let new = NewEndpoint { name: ENDPOINT.to_owned(), secrets: vec![secret.clone()] };
            let made = inbox::add_endpoint(billing, caller, &new).await?.into_inner();
            Ok((made.id.to_string(), secret))
        }
    }
}

impl<'a> Stage<'a> {
    /// The first day: programme, partners, and where they are paid.
    async fn open(
        billing: &Billing,
        organization: &'a Organization,
        caller: Caller,
        first: Month,
        (endpoint, secret): (String, String),
    ) -> Result<Stage<'a>, Failure> {
        let start = at(organization, first.first())?;
        let billing = Billing { clock: Clock::manual(start), ..billing.clone() };
        let program = program(&billing, &caller, first.first()).await?;
        let stage = Stage { billing, organization, caller, program, first, endpoint, secret };
        for member in &MEMBERS {
            stage.enroll(member, first.first()).await?;
        }
        Ok(stage)
    }

    async fn enroll(&self, member: &Member, from: Date) -> Result<(), Failure> {
        let Stage { billing, caller, program, .. } = self;
        let partner = self.partner(member.external_id).await?;
        if self.enrollment(partner).await?.is_none() {
            let new = NewEnrollment {
                program: program.id,
                partner,
                enrolled_from: Some(from),
                settlement: SettlementMode::Payout,
                overrides: Overrides::default(),
            };
            enrollments::enroll(billing, caller, &new).await?;
        }
        let details = NewPayoutDetails { partner, holder: member.holder.to_owned(), iban: member.iban.to_owned() };
        payouts::set_details(billing, caller, &details).await?;
        payouts::verify_details(billing, caller, partner).await?;
        Ok(())
    }

    /// A partner of the example.
    ///
    /// # Errors
    /// It is not there.
    pub async fn partner(&self, external_id: &str) -> Result<billing_primitives::PartnerId, Failure> {
        let found = partners::by_external_id(&self.billing, self.organization.id, external_id).await?;
        found.map(|partner| partner.id).ok_or_else(|| Failure::Fault(format!("{external_id} is missing")))
    }

    /// A partner's enrollment in the programme.
    ///
    /// # Errors
    /// Faults.
    pub async fn enrollment(&self, partner: billing_primitives::PartnerId) -> Result<Option<Enrollment>, Failure> {
        let all = enrollments::of_partners(&self.billing, self.organization.id, &[partner]).await?;
        Ok(all.into_iter().find(|enrollment| enrollment.program_id == self.program.id))
    }

    /// Moves the clock to a day of a month of the story, and says when that is.
    ///
    /// # Errors
    /// The day does not exist.
    pub fn go_to(&self, place: usize, day: i32) -> Result<Timestamp, Failure> {
        let now = at(self.organization, month(self.first, place).first().plus_days(day - 1))?;
        self.billing.clock.set(now);
        Ok(now)
    }

    /// One month, day after day; says how many events were new.
    async fn month(&self, place: usize) -> Result<usize, Failure> {
        let this = month(self.first, place);
        self.go_to(place, 1)?;
        evaluate_month(&self.billing, self.organization.id, this).await?;
        payouts::make_due_statements(&self.billing, self.organization.id).await?;
        // What is paid in a month ripens in the next one, and is paid out in the one after that.
        if place >= 2 {
            self.pay_out(place, this.previous()).await?;
        }
        self.go_to(place, 3)?;
        customers::arrive(self, place).await?;
        let mut new = 0;
        let buyers = BUYERS.iter().map(Some).chain(std::iter::repeat(None));
        for (day, buyer) in (FIRST_PAYS..=ALL_RIPE).zip(buyers) {
            let now = self.go_to(place, day)?;
            payouts::mature(&self.billing, self.organization.id).await?;
            if let Some(buyer) = buyer.filter(|buyer| buyer.from <= place) {
                for event in stripe::paid(buyer, place, now) {
                    new += self.deliver(&event).await?;
                }
            }
        }
        for (of, tells) in [(&REFUND, stripe::refunded as Tells), (&CHARGEBACK, stripe::disputed)] {
            if of.month == place {
                let now = self.go_to(place, of.day)?;
                new += self.deliver(&tells(buyer(of)?, of.paid_in, now, of.amount)).await?;
            }
        }
        Ok(new)
    }

    /// Receives an event as Stripe delivers it and processes it; 1 when it is new.
    async fn deliver(&self, event: &Event) -> Result<usize, Failure> {
        let Billing { clock: Clock::Manual(hand), .. } = &self.billing else {
            return Err(Failure::fault("the story has no clock of its own"));
        };
        let now = stripe::unix(*hand.read().map_err(fault)?);
        let body = event.body.as_bytes();
        let header = billing::stripe::sign(&self.secret, now, body).map_err(fault)?;
        let received = inbox::receive(&self.billing, &self.endpoint, &header, body).await;
        let received = received.map_err(|why| Failure::Fault(format!("{} is turned away: {why:?}", event.id)))?;
        match inbox::process(&self.billing, self.organization.id, &event.id).await? {
            Processed::Done => Ok(usize::from(received == Received::Now)),
            Processed::Later(why) => Err(Failure::Fault(format!("{} waits: {why}", event.id))),
        }
    }

    /// Pays a month out, on the first of the next one.
    async fn pay_out(&self, place: usize, what: Month) -> Result<(), Failure> {
        let Stage { billing, caller, .. } = self;
        let mut run = self.open_run(what.last()).await?;
        if run.status == RunStatus::Draft {
            run = payouts::approve(billing, caller, run.id, None).await?.into_inner();
        }
        let day = self.go_to(place, 2)?.date_in(&self.organization.time_zone);
        if run.status == RunStatus::Approved {
            run = payouts::mark_sent(billing, caller, run.id).await?.into_inner();
        }
        if run.status == RunStatus::Sent {
            payouts::mark_all_paid(billing, caller, run.id, day, &format!("bank {day}")).await?;
        }
        Ok(())
    }

    /// The run up to the end of a month, as a draft unless it is there.
    async fn open_run(&self, cut_off: Date) -> Result<PayoutRun, Failure> {
        let run_key = cut_off.month().to_string();
        let known = payouts::run_by_key(&self.billing, self.organization.id, self.program.id, &run_key).await?;
        if let Some(run) = known {
            return Ok(run);
        }
        let new = NewPayoutRun { program: self.program.id, run_key, cut_off: Some(cut_off) };
        Ok(payouts::open(&self.billing, &self.caller, &new).await?.into_inner())
    }
}

/// How something that goes back is told.
type Tells = fn(&Buyer, usize, Timestamp, i64) -> Event;

/// Whose payment goes back.
///
/// # Errors
/// Nobody's.
pub fn buyer(of: &Return) -> Result<&'static Buyer, Failure> {
    BUYERS.iter().find(|buyer| buyer.external_id == of.buyer).ok_or_else(|| Failure::fault("nobody paid that"))
}

/// When things happen on a day.
fn at(organization: &Organization, day: Date) -> Result<Timestamp, Failure> {
    Ok(organization.time_zone.start_of(day).map_err(fault)?.plus_seconds(HOUR * 3600))
}

/// The programme with its first version in force, made unless it is there.
async fn program(billing: &Billing, caller: &Caller, from: Date) -> Result<Program, Failure> {
    let known = programs::by_external_id(billing, caller.organization, PROGRAM).await?;
    let program = match known {
        Some(program) => program,
        None => {
            let currency: Currency = "DKK".parse().map_err(fault)?;
            let new = NewProgram {
                external_id: PROGRAM.to_owned(),
                name: PROGRAM_NAME.to_owned(),
                currency,
                is_default: true,
                terms: Some(terms().map_err(fault)?),
            };
            programs::create(billing, caller, &new).await?.into_inner()
        }
    };
    let versions = versions::versions_of(billing, caller.organization, &[program.id]).await?;
    if versions.iter().all(|version| version.published_at.is_none()) {
        versions::publish(billing, caller, program.id, from).await?;
    }
    Ok(program)
}
