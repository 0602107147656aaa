//! When something falls due: cron expressions read on the clock of the organization's time zone.
//!
//! Pure: instants in, instants out. On days when the clocks change, a job at a fixed time of day runs once: one whose
//! time is skipped runs when the gap ends, one whose time comes twice runs the first time.

use billing::invoicing::job::RunJob;
use billing_primitives::{OrganizationId, ProgramId, TimeError, TimeZone, Timestamp};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use thiserror::Error;

use crate::job::{Job, PayoutRunJob, kind};

/// Just after midnight: what was due yesterday is overdue today.
pub const OVERDUE: &str = "10 0 * * *";
/// At night, when nobody writes much.
pub const VERIFY: &str = "30 2 * * *";
/// Each minute, so that the unsealed tail stays short.
pub const SEAL: &str = "* * * * *";
/// Hourly: the keys that are past their time are few then.
pub const FORGET_KEYS: &str = "0 * * * *";
/// Just after midnight, before the day's first payment: a day without an evaluation has the lowest tier.
pub const EVALUATE_TIERS: &str = "1 0 * * *";
/// Often: what waits for another event shall not wait long, and few do.
pub const RETRY_EVENTS: &str = "*/5 * * * *";

/// Hourly, before the statements of a month that has just ended are made.
pub const MATURE: &str = "5 * * * *";
/// Nightly, when the last month is certainly over; most nights there is nothing to make.
pub const COMMISSION_STATEMENTS: &str = "20 0 * * *";

/// How many missed ticks are looked for at most, the newest first.
const MOST_TICKS: usize = 100;

/// Why a schedule cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    #[error("{cron:?} is not a cron expression of five fields (minute hour day month weekday): {reason}")]
    NotACron { cron: String, reason: String },
    #[error("{0:?} is not a time zone of the IANA database")]
    NotAZone(String),
    #[error("an instant is out of range")]
    OutOfRange,
}

/// What a schedule asks for when it falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// The wholesale run of the month before the tick's.
    WholesaleRun,
    EmitOverdue,
    Verify,
    Seal,
    ForgetOldKeys,
    EvaluateTiers,
    RetryEvents,
    Mature,
    MakeStatements,
    /// The payout run of a programme over the month before the tick's.
    PayoutRun(ProgramId),
}

impl Planned {
    /// The job of the tick at `tick`.
    pub fn job(self, tick: Timestamp, zone: &TimeZone) -> Job {
        match self {
            Planned::WholesaleRun => {
                Job::ContinueRun(RunJob { month: tick.date_in(zone).month().previous(), pass: None })
            }
            Planned::EmitOverdue => Job::EmitOverdue,
            Planned::Verify => Job::Verify,
            Planned::Seal => Job::Seal,
            Planned::ForgetOldKeys => Job::ForgetOldKeys,
            Planned::EvaluateTiers => Job::EvaluateTiers,
            Planned::RetryEvents => Job::RetryEvents,
            Planned::Mature => Job::Mature,
            Planned::MakeStatements => Job::MakeStatements,
            Planned::PayoutRun(program) => {
                Job::OpenPayoutRun(PayoutRunJob { program, month: tick.date_in(zone).month().previous() })
            }
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Planned::WholesaleRun => kind::WHOLESALE_RUN,
            Planned::EmitOverdue => kind::OVERDUE,
            Planned::Verify => kind::VERIFY,
            Planned::Seal => kind::SEAL,
            Planned::ForgetOldKeys => kind::FORGET_KEYS,
            Planned::EvaluateTiers => kind::EVALUATE_TIERS,
            Planned::RetryEvents => kind::RETRY_EVENTS,
            Planned::Mature => kind::MATURE,
            Planned::MakeStatements => kind::COMMISSION_STATEMENTS,
            Planned::PayoutRun(_) => kind::PAYOUT_RUN,
        }
    }

    /// How many ticks missed while no process ran are made up for.
    ///
    /// Runs belong to their ticks: each missed one is another month that would never be billed or paid. All others
    /// do what is to be done by now, whatever the tick, so the newest is enough and a long stop causes no flood.
    const fn most_missed(self) -> usize {
        match self {
            Planned::WholesaleRun | Planned::PayoutRun(_) => MOST_TICKS,
            Planned::EmitOverdue
            | Planned::Verify
            | Planned::Seal
            | Planned::ForgetOldKeys
            | Planned::EvaluateTiers
            | Planned::RetryEvents
            | Planned::Mature
            | Planned::MakeStatements => 1,
        }
    }
}

/// A job that falls due again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub organization: OrganizationId,
    /// On whose clock `cron` is read.
    pub zone: TimeZone,
    /// Minute, hour, day of month, month, weekday.
    pub cron: String,
    pub planned: Planned,
}

impl Schedule {
    /// The wholesale run, when the organization wants it by itself.
    pub fn wholesale_run(organization: OrganizationId, zone: TimeZone, cron: String) -> Schedule {
        Schedule { organization, zone, cron, planned: Planned::WholesaleRun }
    }

    /// The payout runs of a programme, when its terms want them by themselves.
    pub fn payout_run(organization: OrganizationId, zone: TimeZone, program: ProgramId, cron: String) -> Schedule {
        Schedule { organization, zone, cron, planned: Planned::PayoutRun(program) }
    }

    /// What every organization has.
    pub fn standing(organization: OrganizationId, zone: &TimeZone) -> [Schedule; 8] {
        let schedule =
            |cron: &str, planned| Schedule { organization, zone: zone.clone(), cron: cron.to_owned(), planned };
        [
            schedule(OVERDUE, Planned::EmitOverdue),
            schedule(VERIFY, Planned::Verify),
            schedule(SEAL, Planned::Seal),
            schedule(FORGET_KEYS, Planned::ForgetOldKeys),
            schedule(EVALUATE_TIERS, Planned::EvaluateTiers),
            schedule(RETRY_EVENTS, Planned::RetryEvents),
            schedule(MATURE, Planned::Mature),
            schedule(COMMISSION_STATEMENTS, Planned::MakeStatements),
        ]
    }

    /// Under this name its ticks are recorded. One that is changed is a new one: it begins with its next tick, and
    /// does not make up for what it would have done under its new rule before.
    pub fn key(&self) -> String {
        let name = match self.planned {
            Planned::PayoutRun(program) => format!("{}/{program}", self.planned.name()),
            planned => planned.name().to_owned(),
        };
        format!("{}/{name}/{}/{}", self.organization, self.zone, self.cron)
    }

    /// The ticks after `after`, up to and including `until`, that are to be enqueued; the oldest first.
    ///
    /// # Errors
    /// See [`ScheduleError`].
    pub fn due(&self, after: Timestamp, until: Timestamp) -> Result<Vec<Timestamp>, ScheduleError> {
        newest_ticks(&self.cron, &self.zone, after, until, self.planned.most_missed())
    }
}

/// Whether `cron` can be followed: five fields, and a date that it will ever meet.
///
/// # Errors
/// [`ScheduleError::NotACron`].
pub fn check_cron(cron: &str) -> Result<(), ScheduleError> {
    let parsed = parse(cron)?;
    let start =
        jiff::civil::date(2026, 1, 1).to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| ScheduleError::OutOfRange)?;
    parsed.find_next_occurrence(&start, true).map_err(|error| not_a_cron(cron, &error))?;
    Ok(())
}

/// When `cron`, read on the clock of `zone`, falls due after `after`, up to and including `until`: the newest hundred
/// ticks, the oldest first.
///
/// # Errors
/// See [`ScheduleError`].
pub fn due_ticks(
    cron: &str,
    zone: &TimeZone,
    after: Timestamp,
    until: Timestamp,
) -> Result<Vec<Timestamp>, ScheduleError> {
    newest_ticks(cron, zone, after, until, MOST_TICKS)
}

/// Walks back from `until`: what is wanted is the newest, and years of minutes may lie between the two.
fn newest_ticks(
    cron: &str,
    zone: &TimeZone,
    after: Timestamp,
    until: Timestamp,
    most: usize,
) -> Result<Vec<Timestamp>, ScheduleError> {
    let parsed = parse(cron)?;
    let mut ticks = Vec::new();
    let mut from = zoned(until, zone)?;
    let mut inclusive = true;
    while ticks.len() < most {
        // No earlier occurrence is no fault: the expression may not have one.
        let Ok(previous) = parsed.find_previous_occurrence(&from, inclusive) else { break };
        let tick = instant(&previous)?;
        // The second condition only keeps a fault of the parser from going on for ever.
        if tick <= after || (!inclusive && previous >= from) {
            break;
        }
        ticks.push(tick);
        (from, inclusive) = (previous, false);
    }
    ticks.reverse();
    Ok(ticks)
}

fn parse(cron: &str) -> Result<Cron, ScheduleError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(cron).map_err(|error| not_a_cron(cron, &error))
}

fn not_a_cron(cron: &str, reason: &croner::errors::CronError) -> ScheduleError {
    ScheduleError::NotACron { cron: cron.chars().take(100).collect(), reason: reason.to_string() }
}

/// The whole second at or before `at` on the zone's clock.
fn zoned(at: Timestamp, zone: &TimeZone) -> Result<Zoned, ScheduleError> {
    let zone_rules =
        jiff::tz::TimeZone::get(zone.name()).map_err(|_| ScheduleError::NotAZone(zone.name().to_owned()))?;
    let second = jiff::Timestamp::from_second(at.microseconds().div_euclid(1_000_000));
    Ok(second.map_err(|_| ScheduleError::OutOfRange)?.to_zoned(zone_rules))
}

fn instant(zoned: &Zoned) -> Result<Timestamp, ScheduleError> {
    let microseconds = zoned.timestamp().as_microsecond();
    Timestamp::from_microseconds(microseconds).map_err(|_: TimeError| ScheduleError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ticks(cron: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
        let zone = zone.parse().unwrap();
        due_ticks(cron, &zone, at(after), at(until)).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_fixed_time_comes_once_on_days_when_the_clocks_change() {
        // Clocks in Copenhagen: 2026-03-29 02:00 becomes 03:00 (01:00Z), 2026-10-25 03:00 becomes 02:00 (01:00Z).
        for (cron, day, expected) in [
            (VERIFY, "2026-03-28", "2026-03-28T01:30:00Z"),
            (VERIFY, "2026-03-29", "2026-03-29T01:00:00Z"),
            (VERIFY, "2026-03-30", "2026-03-30T00:30:00Z"),
            (VERIFY, "2026-10-24", "2026-10-24T00:30:00Z"),
            (VERIFY, "2026-10-25", "2026-10-25T00:30:00Z"),
            (VERIFY, "2026-10-26", "2026-10-26T01:30:00Z"),
            ("0 3 * * *", "2026-03-29", "2026-03-29T01:00:00Z"),
            ("0 3 * * *", "2026-10-25", "2026-10-25T02:00:00Z"),
            ("0 2 * * *", "2026-10-25", "2026-10-25T00:00:00Z"),
            ("59 1 * * *", "2026-03-29", "2026-03-29T00:59:00Z"),
        ] {
            let zone: TimeZone = "Europe/Copenhagen".parse().unwrap();
            let date: billing_primitives::Date = day.parse().unwrap();
            let begin = zone.start_of(date).unwrap().plus_seconds(-1);
            let end = zone.start_of(date.next()).unwrap().plus_seconds(-1);
            let found: Vec<_> = due_ticks(cron, &zone, begin, end).unwrap();
            assert_eq!(found, [at(expected)], "{cron} on {day}");
        }
    }

    #[test]
    fn an_interval_keeps_its_pace_when_the_clocks_change() {
        let hourly = |after, until| ticks(FORGET_KEYS, "Europe/Copenhagen", after, until).len();
        assert_eq!(hourly("2026-03-28T22:59:59Z", "2026-03-29T21:59:59Z"), 23);
        assert_eq!(hourly("2026-10-24T21:59:59Z", "2026-10-25T22:59:59Z"), 25);
    }

    #[test]
    fn looking_often_finds_the_same_as_looking_once() {
        let crons = [VERIFY, OVERDUE, FORGET_KEYS, "0 6 1 * *", "15,45 2 * * *", "*/20 1-3 * * *"];
        let zones = ["Europe/Copenhagen", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "UTC"];
        for (cron, zone) in crons.iter().flat_map(|cron| zones.map(|zone| (*cron, zone))) {
            let zone: TimeZone = zone.parse().unwrap();
            for (from, until) in [("2026-03-07T00:00:00Z", 35), ("2026-10-03T00:00:00Z", 35)] {
                let (begin, end) = (at(from), at(from).plus_seconds(until * 86_400));
                let once = newest_ticks(cron, &zone, begin, end, usize::MAX).unwrap();
                let mut often = Vec::new();
                let mut after = begin;
                while after < end {
                    let until = after.plus_seconds(17_999).min(end);
                    often.extend(newest_ticks(cron, &zone, after, until, usize::MAX).unwrap());
                    after = until;
                }
                assert_eq!(once, often, "{cron} in {zone}");
                let forward = parse(cron).unwrap();
                let mut next = zoned(begin, &zone).unwrap();
                for tick in &once {
                    next = forward.find_next_occurrence(&next, false).unwrap();
                    assert_eq!(instant(&next).unwrap(), *tick, "{cron} in {zone}");
                }
            }
        }
    }

    #[test]
    fn the_edges_belong_to_one_look_each() {
        let zone = "Europe/Copenhagen";
        assert_eq!(ticks(OVERDUE, zone, "2026-11-01T00:00:00Z", "2026-11-01T23:10:00Z"), ["2026-11-01T23:10:00Z"]);
        assert!(ticks(OVERDUE, zone, "2026-11-01T23:10:00Z", "2026-11-02T23:09:59.999Z").is_empty());
        assert!(ticks(OVERDUE, zone, "2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z").is_empty());
    }

    #[test]
    fn a_long_stop_makes_up_for_months_and_not_for_minutes() {
        let organization = OrganizationId::new();
        let zone: TimeZone = "Europe/Copenhagen".parse().unwrap();
        let (after, until) = (at("2026-07-15T00:00:00Z"), at("2026-11-03T12:00:30Z"));
        let run = Schedule::wholesale_run(organization, zone.clone(), "0 6 1 * *".to_owned());
        let months: Vec<Job> =
            run.due(after, until).unwrap().into_iter().map(|tick| run.planned.job(tick, &zone)).collect();
        let expected = ["2026-07", "2026-08", "2026-09", "2026-10"];
        assert_eq!(
            months,
            expected.map(|month| Job::ContinueRun(RunJob { month: month.parse().unwrap(), pass: None }))
        );
        let newest = [
            "2026-11-02T23:10:00Z",
            "2026-11-03T01:30:00Z",
            "2026-11-03T12:00:00Z",
            "2026-11-03T12:00:00Z",
            "2026-11-02T23:01:00Z",
            "2026-11-03T12:00:00Z",
            "2026-11-03T11:05:00Z",
            "2026-11-02T23:20:00Z",
        ];
        for (standing, newest) in Schedule::standing(organization, &zone).iter().zip(newest) {
            assert_eq!(standing.due(after, until).unwrap(), [at(newest)], "{}", standing.key());
        }
    }

    #[test]
    fn a_month_ends_when_it_ends_in_the_zone() {
        // 23:30 on 31 October in Copenhagen still belongs to October, whose month before is September.
        let copenhagen: TimeZone = "Europe/Copenhagen".parse().unwrap();
        for (tick, month) in [("2026-10-31T22:30:00Z", "2026-09"), ("2026-10-31T23:30:00Z", "2026-10")] {
            let job = Planned::WholesaleRun.job(at(tick), &copenhagen);
            assert_eq!(job, Job::ContinueRun(RunJob { month: month.parse().unwrap(), pass: None }), "{tick}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for wrong in
            ["", "* * * *", "60 * * * *", "0 0 * * * *", "0 0 1 1 * 2027", "every day", "0 0 30 2 *", "@daily x"]
        {
            assert!(check_cron(wrong).is_err(), "{wrong}");
        }
        for right in [OVERDUE, VERIFY, SEAL, FORGET_KEYS, "0 6 1 * *", "0 6 L * *", "0 6 * * MON#1", "0 0 29 2 *"] {
            assert_eq!(check_cron(right), Ok(()), "{right}");
        }
    }
}
