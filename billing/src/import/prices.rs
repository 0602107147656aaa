//! Writes price lists and tier tables. Their files have one price or one tier per row, and a version is complete, so
//! rows are gathered by version first: these two files are held in memory.

use std::collections::HashMap;
use std::hash::Hash;

use billing_db::Conn;
use billing_primitives::{Date, Month, PlanId};

use super::desk::{Desk, next, parsed};
use super::files::File;
use super::rows::{self, PriceRow, TierRow};
use super::table::{BadCell, Cells, Line};
use super::{ImportError, Stop};
use crate::catalog::{self, PublishPrices};
use crate::put::Put;
use crate::tiers::{self, NewTierTable};

/// A row that is one part of a version.
trait Part: Sized {
    /// What all rows of a version have in common, and no other row has.
    type Version: Eq + Hash;
    const FILE: File;

    fn read(cells: &Cells<'_>) -> Result<Self, BadCell>;
    fn version(&self) -> Self::Version;
    /// The version of a row that is wrong otherwise.
    fn version_of(line: &Line<'_>) -> Option<Self::Version>;
    /// How `self` contradicts an earlier row of its version, in words that go on with the number of its line.
    fn contradicts(&self, earlier: &Self) -> Option<(&'static str, &'static str)>;
}

impl Part for PriceRow {
    type Version = (String, Date);
    const FILE: File = File::Prices;

    fn read(cells: &Cells<'_>) -> Result<Self, BadCell> {
        rows::price(cells)
    }

    fn version(&self) -> Self::Version {
        (self.price_list.clone(), self.effective_on)
    }

    fn version_of(line: &Line<'_>) -> Option<Self::Version> {
        Some((line.name("priceListExternalId")?.to_owned(), line.name("effectiveOn")?.parse().ok()?))
    }

    fn contradicts(&self, earlier: &Self) -> Option<(&'static str, &'static str)> {
        let wrong = [
            (self.currency != earlier.currency, "currency", "is not that of"),
            (self.partner != earlier.partner, "partnerExternalId", "is not that of"),
            (self.plan == earlier.plan, "planExternalId", "has its price already on"),
        ];
        wrong.into_iter().find_map(|(wrong, column, words)| wrong.then_some((column, words)))
    }
}

impl Part for TierRow {
    type Version = Month;
    const FILE: File = File::Tiers;

    fn read(cells: &Cells<'_>) -> Result<Self, BadCell> {
        rows::tier(cells)
    }

    fn version(&self) -> Month {
        self.effective_from
    }

    fn version_of(line: &Line<'_>) -> Option<Month> {
        line.name("effectiveFrom")?.parse().ok()
    }

    fn contradicts(&self, earlier: &Self) -> Option<(&'static str, &'static str)> {
        let wrong = [
            (self.grace_months != earlier.grace_months, "graceMonths", "is not that of"),
            (self.indicative != earlier.indicative, "indicative", "is not that of"),
            (self.tier.code == earlier.tier.code, "code", "stands already on"),
            (self.tier.from_users == earlier.tier.from_users, "fromUsers", "is the threshold already on"),
        ];
        wrong.into_iter().find_map(|(wrong, column, words)| wrong.then_some((column, words)))
    }
}

/// The rows of one version, with their lines.
struct Version<R> {
    rows: Vec<(u64, R)>,
    /// Whether one of its rows is refused: the rest is not the version that was meant.
    spoiled: bool,
}

impl<R: Part> Version<R> {
    fn add(&mut self, line: u64, row: R) -> Result<(), BadCell> {
        for (earlier, other) in &self.rows {
            if let Some((column, words)) = row.contradicts(other) {
                return Err(BadCell::new(column, format_args!("{words} line {earlier}")));
            }
        }
        self.rows.push((line, row));
        Ok(())
    }
}

/// Versions in the order of their first rows.
struct Versions<R: Part> {
    places: HashMap<R::Version, usize>,
    versions: Vec<Version<R>>,
}

impl<R: Part> Versions<R> {
    fn of(&mut self, version: R::Version) -> &mut Version<R> {
        let place = *self.places.entry(version).or_insert(self.versions.len());
        if place == self.versions.len() {
            self.versions.push(Version { rows: Vec::new(), spoiled: false });
        }
        &mut self.versions[place]
    }

    fn read(&mut self, line: &Line<'_>) -> Result<(), BadCell> {
        let added = parsed(line, R::read).and_then(|row| self.of(row.version()).add(line.number, row));
        if added.is_err() {
            match R::version_of(line) {
                Some(version) => self.of(version).spoiled = true,
                // It may have been a part of any of them.
                None => self.versions.iter_mut().for_each(|version| version.spoiled = true),
            }
        }
        added
    }
}

impl Desk<'_> {
    pub async fn prices(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        for version in self.versions::<PriceRow>()? {
            let Some(prices) = self.resolve(&version)? else { continue };
            let outcome = self.put_prices(conn, &version, prices).await;
            self.note_version(version, outcome)?;
        }
        Ok(())
    }

    /// The plans of a version and their prices; none when some row is refused, and then all of them are counted.
    fn resolve(&mut self, version: &Version<PriceRow>) -> Result<Option<Vec<(PlanId, i64)>>, ImportError> {
        let mut prices = Vec::with_capacity(version.rows.len());
        let mut whole = !version.spoiled;
        let resolved: Vec<Result<PlanId, Stop>> = version.rows.iter().map(|(_, row)| self.names_of(row)).collect();
        whole &= resolved.iter().all(Result::is_ok);
        for ((line, row), plan) in version.rows.iter().zip(resolved) {
            match plan {
                Ok(plan) if whole => prices.push((plan, row.unit_price.minor)),
                Ok(_) => self.skip(File::Prices, *line)?,
                Err(stop) => {
                    self.note::<PlanId>(File::Prices, *line, Err(stop))?;
                }
            }
        }
        Ok(whole.then_some(prices))
    }

    fn names_of(&self, row: &PriceRow) -> Result<PlanId, Stop> {
        self.partners.maybe("partnerExternalId", row.partner.as_deref())?;
        self.plans.get("planExternalId", &row.plan)
    }

    async fn put_prices(
        &self,
        conn: &mut Conn,
        version: &Version<PriceRow>,
        prices: Vec<(PlanId, i64)>,
    ) -> Result<Put<()>, Stop> {
        self.ready()?;
        let Some((_, first)) = version.rows.first() else { return Err(Stop::Depends) };
        let input = PublishPrices {
            price_list: first.price_list.clone(),
            currency: first.currency,
            partner: self.partners.maybe("partnerExternalId", first.partner.as_deref())?,
            effective_on: first.effective_on,
            prices,
        };
        Ok(nameless(catalog::put_prices(conn, &self.billing, &self.caller, &input).await?))
    }

    pub async fn tiers(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        for version in self.versions::<TierRow>()? {
            let outcome = self.put_tiers(conn, &version).await;
            self.note_version(version, outcome)?;
        }
        Ok(())
    }

    async fn put_tiers(&self, conn: &mut Conn, version: &Version<TierRow>) -> Result<Put<()>, Stop> {
        self.ready()?;
        let Some((_, first)) = version.rows.first().filter(|_| !version.spoiled) else { return Err(Stop::Depends) };
        let input = NewTierTable {
            effective_from: first.effective_from,
            grace_months: first.grace_months,
            indicative: first.indicative,
            tiers: version.rows.iter().map(|(_, row)| row.tier.clone()).collect(),
        };
        Ok(nameless(tiers::put(conn, &self.billing, &self.caller, &input).await?))
    }

    fn versions<R: Part>(&mut self) -> Result<Vec<Version<R>>, ImportError> {
        let mut versions: Versions<R> = Versions { places: HashMap::new(), versions: Vec::new() };
        let Some(mut table) = self.open(R::FILE)? else { return Ok(Vec::new()) };
        while let Some(line) = next(&mut table)? {
            let number = line.number;
            if let Err(bad) = versions.read(&line) {
                self.note::<()>(R::FILE, number, Err(bad.into()))?;
            }
            self.tell(&table);
        }
        self.done(&table);
        Ok(versions.versions)
    }

    /// Counts the rows of a version: what refuses it is said once, at its first row.
    fn note_version<R: Part>(
        &mut self,
        version: Version<R>,
        outcome: Result<Put<()>, Stop>,
    ) -> Result<(), ImportError> {
        let rest = outcome.as_ref().ok().copied();
        let mut outcome = Some(outcome);
        for (line, _) in version.rows {
            let told = outcome.take().unwrap_or_else(|| rest.ok_or(Stop::Depends));
            self.note(R::FILE, line, told)?;
        }
        Ok(())
    }

    fn skip(&mut self, file: File, line: u64) -> Result<(), ImportError> {
        self.note::<()>(file, line, Err(Stop::Depends)).map(|_| ())
    }
}

fn nameless<T>(put: Put<T>) -> Put<()> {
    match put {
        Put::Made(_) => Put::Made(()),
        Put::Changed(_) => Put::Changed(()),
        Put::Unchanged(_) => Put::Unchanged(()),
    }
}
