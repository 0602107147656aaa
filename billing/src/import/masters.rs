//! Writes the organization, its plans and its partners.

use std::collections::{HashMap, HashSet, VecDeque};

use billing_db::Conn;
use billing_primitives::{OrganizationId, PartnerId, PlanId};

use super::desk::{Desk, next, parsed};
use super::files::File;
use super::rows::{self, PartnerRow};
use super::table::{BadCell, Line};
use super::{ImportError, Stop};
use crate::catalog;
use crate::error::{Error, Refusal};
use crate::organizations;
use crate::partners::{self, PartnerProfile};
use crate::put::Put;

impl Desk<'_> {
    /// The first row makes or updates the organization; any other is refused.
    pub async fn organization(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let file = File::Organization;
        let Some(mut table) = self.open(file)? else {
            // Refused for its header, or absent: then the caller has named one that must be there.
            self.stands = self.report.problems.iter().all(|problem| problem.file != file.name());
            if self.stands {
                organizations::current(conn, self.caller.organization).await?;
            }
            return Ok(());
        };
        let mut first = None;
        while let Some(line) = next(&mut table)? {
            let number = line.number;
            let outcome = match first {
                None => self.put_organization(conn, &line).await,
                Some(_) => Err(BadCell::row("is one row too many: a folder is of one organization").into()),
            };
            first = first.or(Some(line.name("externalId").map(str::to_owned)));
            self.stands |= self.note(file, number, outcome)?.is_some();
        }
        match first {
            None => self.report.refuse(file.name(), "has no row"),
            // It may stand in spite of a bad row, and then the other rows can be judged.
            Some(name) if !self.stands => {
                let known = organizations::store::get(conn, self.caller.organization).await?;
                self.stands = known.is_some_and(|known| Some(known.external_id) == name);
            }
            Some(_) => {}
        }
        self.done(&table);
        Ok(())
    }

    async fn put_organization(&self, conn: &mut Conn, line: &Line<'_>) -> Result<Put<OrganizationId>, Stop> {
        let input = parsed(line, rows::organization)?;
        match organizations::put(conn, &self.billing, self.caller.organization, &input).await {
            // Running again would not help: whose the folder is was looked up before.
            Err(Error::Refused(refusal)) => Err(Stop::Refused(refusal)),
            put => Ok(put?),
        }
    }

    pub async fn plans(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let Some(mut table) = self.open(File::Plans)? else { return Ok(()) };
        while let Some(line) = next(&mut table)? {
            let (name, number) = (line.name("externalId"), line.number);
            let outcome = self.put_plan(conn, &line).await;
            let id = self.note(File::Plans, number, outcome)?;
            self.plans.note(name, number, id);
            self.tell(&table);
        }
        self.done(&table);
        Ok(())
    }

    async fn put_plan(&self, conn: &mut Conn, line: &Line<'_>) -> Result<Put<PlanId>, Stop> {
        let input = parsed(line, rows::plan)?;
        self.plans.check_new(Some(&input.external_id))?;
        self.ready()?;
        Ok(catalog::plans::put(conn, &self.billing, &self.caller, &input).await?)
    }

    /// Parents may stand behind their children. Written from the top of the trees down, every partner meets ancestors
    /// that are as they shall be, and a loop is only what the folder says.
    pub async fn partners(&mut self, conn: &mut Conn) -> Result<(), ImportError> {
        let Some(mut trees) = self.read_partners()? else { return Ok(()) };
        while let Some((line, row)) = trees.next() {
            let name = row.profile.external_id.clone();
            let outcome = self.put_partner(conn, row).await;
            let id = self.note(File::Partners, line, outcome)?;
            self.partners.note(Some(&name), line, id);
            trees.reach(&name);
        }
        for (line, row) in trees.loops() {
            let refusal = Refusal::ParentLoop { partner: row.profile.external_id.clone() };
            self.note::<PartnerId>(File::Partners, line, Err(Stop::Refused(refusal)))?;
            self.partners.note(Some(&row.profile.external_id), line, None);
        }
        Ok(())
    }

    fn read_partners(&mut self) -> Result<Option<Trees>, ImportError> {
        let Some(mut table) = self.open(File::Partners)? else { return Ok(None) };
        let mut rows = Vec::new();
        let mut lines: HashMap<String, u64> = HashMap::new();
        while let Some(line) = next(&mut table)? {
            let (name, number) = (line.name("externalId"), line.number);
            let first = name.and_then(|name| lines.get(name));
            let row = match first {
                Some(first) => Err(BadCell::new("externalId", format!("stands on line {first} already"))),
                None => parsed(&line, rows::partner),
            };
            match row {
                Ok(row) => {
                    lines.insert(row.profile.external_id.clone(), number);
                    rows.push((number, row));
                }
                Err(bad) => {
                    self.note::<PartnerId>(File::Partners, number, Err(bad.into()))?;
                    if first.is_none() {
                        self.partners.note(name, number, None);
                    }
                }
            }
            self.tell(&table);
        }
        self.done(&table);
        Ok(Some(Trees::new(rows)))
    }

    async fn put_partner(&self, conn: &mut Conn, row: PartnerRow) -> Result<Put<PartnerId>, Stop> {
        self.ready()?;
        let parent = self.partners.maybe("parentExternalId", row.parent.as_deref())?;
        let profile = PartnerProfile { parent, ..row.profile };
        let put = partners::put(conn, &self.billing, &self.caller, &profile).await?;
        let Some(check) = row.check else { return Ok(put) };
        let id = put.into_inner();
        let known = partners::lock(conn, self.caller.organization, id).await?;
        if known.vat_checked_at > check.checked_at {
            // The number was checked again since this row was written.
            return Ok(put);
        }
        let (_, noted) = partners::note_check(conn, &self.billing, &self.caller, id, &check).await?;
        Ok(match put {
            Put::Unchanged(id) if noted => Put::Changed(id),
            put => put,
        })
    }
}

/// Partners with their lines, from the tops of their trees down. A top is whoever has no parent in the file.
struct Trees {
    ready: VecDeque<(u64, PartnerRow)>,
    /// By the parent that has to be written first.
    waiting: HashMap<String, Vec<(u64, PartnerRow)>>,
}

impl Trees {
    fn new(rows: Vec<(u64, PartnerRow)>) -> Trees {
        let names: HashSet<String> = rows.iter().map(|(_, row)| row.profile.external_id.clone()).collect();
        let mut trees = Trees { ready: VecDeque::new(), waiting: HashMap::new() };
        for (line, row) in rows {
            match row.parent.as_ref().filter(|parent| names.contains(*parent)) {
                Some(parent) => trees.waiting.entry(parent.clone()).or_default().push((line, row)),
                None => trees.ready.push_back((line, row)),
            }
        }
        trees
    }

    fn next(&mut self) -> Option<(u64, PartnerRow)> {
        self.ready.pop_front()
    }

    /// The partner of this name has had its turn: its children are next.
    fn reach(&mut self, name: &str) {
        self.ready.extend(self.waiting.remove(name).unwrap_or_default());
    }

    /// Whoever is not below any top.
    fn loops(self) -> impl Iterator<Item = (u64, PartnerRow)> {
        self.waiting.into_values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use billing_primitives::Currency;

    use super::*;

    fn rows(family: &[(&str, &str)]) -> Vec<(u64, PartnerRow)> {
        let row = |(name, parent): &(&str, &str)| PartnerRow {
            profile: PartnerProfile {
                external_id: (*name).to_owned(),
                legal_name: String::new(),
                email: String::new(),
                street: String::new(),
                postal_code: String::new(),
                city: String::new(),
                country: String::new(),
                vat_number: None,
                currency: Currency::DKK,
                payment_terms: None,
                parent: None,
            },
            parent: (!parent.is_empty()).then(|| (*parent).to_owned()),
            check: None,
        };
        (2..).zip(family.iter().map(row)).collect()
    }

    #[test]
    fn parents_come_before_their_children_and_loops_never() {
        let family = [("c", "b"), ("x", "y"), ("b", "a"), ("y", "x"), ("a", ""), ("d", "elsewhere"), ("z", "x")];
        let mut trees = Trees::new(rows(&family));
        let mut order = String::new();
        while let Some((_, row)) = trees.next() {
            order.push_str(&row.profile.external_id);
            trees.reach(&row.profile.external_id);
        }
        assert_eq!(order, "adbc");
        let mut loops: Vec<u64> = trees.loops().map(|(line, _)| line).collect();
        loops.sort_unstable();
        assert_eq!(loops, [3, 5, 8]);
    }
}
