//! A folder of CSV files: all of it or nothing, every bad row named, and the same folder again changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use billing::import::{self, Counts, Folder, ImportError, Report};
use billing::subscriptions::rules::Seats;
use billing::vat::VatStatus;
use billing::{Error, Page, Refusal, catalog, customers, organizations, partners, subscriptions};
use billing_primitives::OrganizationId;
use tests::{App, date, story};

/// Files by their names.
type Files = BTreeMap<String, String>;

/// The example, as the folder of another organization.
fn example(external_id: &str) -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/example");
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".csv") {
            files.insert(name, std::fs::read_to_string(path).unwrap());
        }
    }
    replace(&mut files, "organization.csv", "soelvranke,", &format!("{external_id},"));
    files
}

/// The external id of an organization that is not there yet.
fn another(app: &App) -> String {
    format!("{}-imported", app.external_id)
}

#[track_caller]
fn replace(files: &mut Files, file: &str, from: &str, to: &str) {
    let text = files.get_mut(file).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    *text = text.replacen(from, to, 1);
}

fn folder(files: &Files) -> Folder {
    Folder::of(files.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())))
}

async fn imports(app: &App, files: &Files) -> Report {
    match import::import(&app.billing, &folder(files), None, &|_, _, _| {}).await {
        Ok(report) => report,
        Err(ImportError::Refused(report)) => panic!("{:#?}", report.problems),
        Err(error) => panic!("{error}"),
    }
}

async fn refuses(app: &App, files: &Files, organization: Option<OrganizationId>) -> Report {
    match import::import(&app.billing, &folder(files), organization, &|_, _, _| {}).await {
        Err(ImportError::Refused(report)) => *report,
        other => panic!("{other:?}"),
    }
}

/// File, line and column of every problem.
fn places(report: &Report) -> Vec<(&str, Option<u64>, Option<&str>)> {
    report.problems.iter().map(|problem| (problem.file.as_str(), problem.line, problem.column)).collect()
}

fn counts(report: &Report, file: &str) -> Counts {
    report.files.iter().find(|read| read.file.name() == file).unwrap().counts
}

async fn customers_of(app: &App, organization: OrganizationId) -> usize {
    customers::list(&app.billing, organization, &Page::new(None, 100), None).await.unwrap().items.len()
}

#[test]
fn the_same_folder_again_changes_nothing() {
    story(async |app| {
        let files = example(&another(&app));
        let first = imports(&app, &files).await;
        let rows: usize = files.values().map(|text| text.lines().count() - 1).sum();
        assert_eq!(first.total(), Counts { made: u64::try_from(rows).unwrap(), ..Counts::default() });
        let second = imports(&app, &files).await;
        assert_eq!(second.organization, first.organization);
        assert_eq!(second.total(), Counts { unchanged: u64::try_from(rows).unwrap(), ..Counts::default() });
        assert_eq!(customers_of(&app, first.organization.unwrap()).await, 60);
    });
}

#[test]
fn every_bad_row_is_named_and_nothing_is_left_behind() {
    story(async |app| {
        let name = another(&app);
        let mut files = example(&name);
        replace(&mut files, "prices.csv", "2025-01-01,pro,149.00", "2025-01-01,pro,149.005");
        replace(&mut files, "customers.csv", "C-2009,Ærøsund Rederi A/S,DK", "C-2009,Ærøsund Rederi A/S,Danmark");
        replace(&mut files, "customers.csv", "P-1002,2025-06-01", "P-9999,2025-06-01");
        replace(&mut files, "subscriptions.csv", "2025-06-01,2026-06-16", "2025-06-01,2025-05-16");
        replace(&mut files, "seat_changes.csv", "S-3030,2025-10-20,,-2", "S-3030,2025-10-20,,-2000");
        let report = refuses(&app, &files, None).await;
        assert_eq!(
            places(&report),
            [
                ("prices.csv", Some(3), Some("unitPrice")),
                ("customers.csv", Some(10), Some("country")),
                ("customers.csv", Some(11), Some("partnerExternalId")),
                ("subscriptions.csv", Some(5), Some("endsOn")),
                ("seat_changes.csv", Some(8), Some("delta")),
            ]
        );
        // What hangs on them is said to depend on them, not to be wrong.
        assert_eq!(counts(&report, "prices.csv").skipped, 3);
        assert!(counts(&report, "subscriptions.csv").skipped > 0 && counts(&report, "seat_changes.csv").skipped > 0);
        let gone = organizations::find(&app.billing, &name).await;
        assert!(matches!(gone, Err(Error::Refused(Refusal::NotFound { .. }))));
        // Corrected, it goes through.
        assert_eq!(imports(&app, &example(&name)).await.total().refused, 0);
    });
}

#[test]
fn what_differs_from_history_is_refused_and_masters_are_updated() {
    story(async |app| {
        let mut files = example(&another(&app));
        let id = imports(&app, &files).await.organization.unwrap();
        replace(&mut files, "organization.csv", "Bækkeengen 14", "Bækkeengen 16");
        replace(&mut files, "customers.csv", "Klinik Åbrinken I/S", "=HYPERLINK(\"\"http://x\"\")");
        replace(&mut files, "customers.csv", "=HYPERLINK(\"\"http://x\"\")", "\"=HYPERLINK(\"\"http://x\"\")\"");
        replace(&mut files, "plans.csv", "Support-aftale", "Support");
        let report = imports(&app, &files).await;
        assert_eq!((report.total().made, report.total().changed), (0, 3));
        let clinic = customers::by_external_id(&app.billing, id, "C-2002").await.unwrap().unwrap();
        assert_eq!(clinic.name, "=HYPERLINK(\"http://x\")");
        for (file, from, to, line, column) in [
            ("organization.csv", ",2025-10,", ",2025-11,", 2, "billingFrom"),
            ("plans.csv", "FLAT,false", "PER_SEAT,false", 5, "pricing"),
            ("prices.csv", "pro,149.00", "pro,150.00", 2, "unitPrice"),
            ("tiers.csv", "PREMIER,Premier,1000", "PREMIER,Premier,1001", 2, "code"),
            ("customers.csv", "P-1001,2025-02-01", "P-1001,2025-02-02", 2, "ownedFrom"),
            ("subscriptions.csv", "2025-02-01,,14", "2025-02-01,,15", 2, "seats"),
            ("seat_changes.csv", "2025-10-02,143,", "2025-10-02,144,", 2, "quantity"),
            ("retail_prices.csv", "DKK,95.00", "DKK,95.50", 2, "unitPrice"),
            ("exchange_rates.csv", "7.4671", "7.4672", 2, "rate"),
        ] {
            let mut changed = files.clone();
            replace(&mut changed, file, from, to);
            let report = refuses(&app, &changed, None).await;
            assert_eq!(places(&report), [(file, Some(line), Some(column))], "{:#?}", report.problems);
            assert_eq!(report.problems[0].code, "DIFFERS_FROM_RECORDED");
        }
    });
}

#[test]
fn parents_may_come_after_their_children() {
    story(async |app| {
        let partners = |rows: &[(&str, &str)]| {
            let mut text = "externalId,legalName,email,street,postalCode,city,country,vatNumber,vatNumberStatus,\
                            vatNumberCheckedAt,vatNumberAnswer,currency,paymentTermsDays,paymentTermsFrom,\
                            parentExternalId\n"
                .to_owned();
            for (name, parent) in rows {
                text.push_str(&format!("{name},P ApS,p@p.example,Vej 1,8000,By,DK,,,,,DKK,,,{parent}\n"));
            }
            Files::from([("partners.csv".to_owned(), text)])
        };
        let put = async |rows: &[(&str, &str)]| {
            import::import(&app.billing, &folder(&partners(rows)), Some(app.organization), &|_, _, _| {}).await
        };
        assert_eq!(put(&[("A", "B"), ("B", "C"), ("C", "")]).await.unwrap().total().made, 3);
        // The tree upside down: on the way no partner is its own ancestor.
        assert_eq!(put(&[("A", ""), ("B", "A"), ("C", "B")]).await.unwrap().total().changed, 3);
        let c = partners::by_external_id(&app.billing, app.organization, "C").await.unwrap().unwrap();
        let b = partners::by_external_id(&app.billing, app.organization, "B").await.unwrap().unwrap();
        assert_eq!(c.parent_partner_id, Some(b.id));
        let loops = partners(&[("A", "C"), ("X", "Y"), ("Y", "X"), ("Z", "nobody"), ("Z", "")]);
        let report = refuses(&app, &loops, Some(app.organization)).await;
        let column = Some("parentExternalId");
        let expected = [
            ("partners.csv", Some(2), column),
            ("partners.csv", Some(3), column),
            ("partners.csv", Some(4), column),
            ("partners.csv", Some(5), column),
            ("partners.csv", Some(6), Some("externalId")),
        ];
        assert_eq!(places(&report), expected);
    });
}

#[test]
fn a_check_made_since_is_not_taken_back() {
    story(async |app| {
        let files = example(&another(&app));
        let id = imports(&app, &files).await.organization.unwrap();
        let caller = billing::Caller::operator(id);
        let partner = partners::by_external_id(&app.billing, id, "P-1001").await.unwrap().unwrap();
        assert_eq!(partner.vat_status, VatStatus::Valid);
        let check = partners::VatCheck { status: VatStatus::Invalid, checked_at: None, answer: None };
        partners::record_vat_check(&app.billing, &caller, partner.id, &check).await.unwrap();
        assert_eq!(imports(&app, &files).await.total().changed, 0);
        let partner = partners::by_external_id(&app.billing, id, "P-1001").await.unwrap().unwrap();
        assert_eq!(partner.vat_status, VatStatus::Invalid);
    });
}

#[test]
fn the_order_of_seat_changes_is_the_order_of_recording() {
    story(async |app| {
        let files = example(&another(&app));
        let id = imports(&app, &files).await.organization.unwrap();
        let of = subscriptions::by_external_id(&app.billing, id, "S-3033").await.unwrap().unwrap();
        let changes = subscriptions::seat_changes_of(&app.billing, id, &[of.id]).await.unwrap();
        let mut recorded: Vec<_> =
            changes.iter().map(|change| (change.sequence, change.external_id.as_str())).collect();
        recorded.sort_unstable();
        let rows = files["seat_changes.csv"].lines().filter(|line| line.contains(",S-3033,"));
        let mut expected = vec!["S-3033/start"];
        expected.extend(rows.map(|line| line.split(',').next().unwrap()));
        let expected: Vec<_> = (1..).zip(expected).collect();
        assert_eq!(recorded, expected);
        assert_eq!(changes[0].seats().unwrap(), Seats::Quantity(recorded_seats(&files, "S-3033")));
    });
}

fn recorded_seats(files: &Files, subscription: &str) -> i64 {
    let row = files["subscriptions.csv"].lines().find(|line| line.starts_with(subscription)).unwrap();
    row.rsplit(',').next().unwrap().parse().unwrap()
}

#[test]
fn files_that_cannot_be_meant_are_refused_whole() {
    story(async |app| {
        let mut files = example(&another(&app));
        files.insert("invoices.csv".to_owned(), String::new());
        files.insert("Plans.CSV".to_owned(), String::new());
        files.insert("notes.txt".to_owned(), "not looked at".to_owned());
        replace(&mut files, "customers.csv", "ownedFrom", "owned_from");
        let report = refuses(&app, &files, None).await;
        // What names customers is not judged: nobody knows what the file would have said.
        let told = [("customers.csv", None, None), ("Plans.CSV", None, None), ("invoices.csv", None, None)];
        let mut places = places(&report);
        places.sort_unstable();
        let mut expected = told.to_vec();
        expected.sort_unstable();
        assert_eq!(places, expected);
        assert!(report.problems.iter().any(|problem| problem.reason.contains("missing columns: ownedFrom")));
        assert_eq!(counts(&report, "subscriptions.csv").skipped, 78);
    });
}

#[test]
fn a_folder_is_of_one_organization_that_somebody_names() {
    story(async |app| {
        let name = another(&app);
        let mut files = example(&name);
        // Named otherwise than the folder says.
        let report = refuses(&app, &files, Some(app.organization)).await;
        assert_eq!(places(&report), [("organization.csv", Some(2), Some("externalId"))]);
        assert_eq!(customers_of(&app, app.organization).await, 0);
        // Two of them: and as the first one stands, all the rest is judged.
        let twice = files["organization.csv"].lines().last().unwrap().to_owned();
        files.get_mut("organization.csv").unwrap().push_str(&format!("{twice}\n"));
        assert_eq!(places(&refuses(&app, &files, None).await), [("organization.csv", Some(3), None)]);
        // By nobody.
        files.remove("organization.csv");
        assert_eq!(places(&refuses(&app, &files, None).await), [("organization.csv", None, None)]);
        // By the caller.
        files.retain(|file, _| file == "plans.csv");
        let told = import::import(&app.billing, &folder(&files), Some(app.organization), &|_, _, _| {}).await.unwrap();
        assert_eq!(told.total().made, 4);
        let nowhere = import::import(&app.billing, &folder(&files), Some(OrganizationId::new()), &|_, _, _| {}).await;
        assert!(matches!(nowhere, Err(ImportError::Failed(Error::Refused(Refusal::NotFound { .. })))));
        let empty = refuses(&app, &Files::new(), Some(app.organization)).await;
        assert_eq!(empty.problems.len(), 1);
    });
}

#[test]
fn a_bad_organization_still_has_its_rows_read() {
    story(async |app| {
        let mut files = example(&another(&app));
        replace(&mut files, "organization.csv", ",DKK,DK,", ",Kroner,DK,");
        replace(&mut files, "exchange_rates.csv", "7.4671", "\"7,4671\"");
        let report = refuses(&app, &files, None).await;
        let expected = [("organization.csv", Some(2), Some("currency")), ("exchange_rates.csv", Some(2), Some("rate"))];
        assert_eq!(places(&report), expected);
        let total = report.total();
        assert_eq!((total.made, total.refused, total.skipped), (0, 2, total.rows() - 2));
        // One that stands already is no reason to leave its rows unjudged.
        imports(&app, &example(&another(&app))).await;
        replace(&mut files, "subscriptions.csv", "S-3001,C-2001,pro", "S-3001,C-2001,basis");
        let report = refuses(&app, &files, None).await;
        assert_eq!(report.problems.iter().filter(|problem| problem.code == "DIFFERS_FROM_RECORDED").count(), 1);
        assert_eq!((report.total().refused, report.total().skipped), (3, 0));
    });
}

#[test]
fn two_imports_of_one_folder_at_the_same_moment_make_one() {
    story(async |app| {
        let files = example(&app.external_id);
        let mut files = files;
        files.remove("organization.csv");
        let folder = folder(&files);
        let once = || import::import(&app.billing, &folder, Some(app.organization), &|_, _, _| {});
        let (left, right) = tokio::join!(once(), once());
        let (left, right) = (left.unwrap().total(), right.unwrap().total());
        assert_eq!(left.made + right.made, left.rows());
        assert_eq!(left.unchanged + right.unchanged, left.rows());
        assert_eq!(customers_of(&app, app.organization).await, 60);
    });
}

#[test]
fn the_progress_ends_with_every_file() {
    story(async |app| {
        let files = example(&another(&app));
        let told = Mutex::new(BTreeMap::new());
        let hear = |file: &str, rows: u64, estimate: u64| {
            assert!(rows <= estimate, "{file}: {rows} of {estimate}");
            told.lock().unwrap().insert(file.to_owned(), (rows, estimate));
        };
        let report = import::import(&app.billing, &folder(&files), None, &hear).await.unwrap();
        for read in &report.files {
            let rows = read.counts.rows();
            assert_eq!(told.lock().unwrap().get(read.file.name()), Some(&(rows, rows)), "{:?}", read.file);
        }
        assert_eq!(told.lock().unwrap().len(), 10);
    });
}

#[test]
fn a_subscription_that_ends_earlier_makes_room_for_the_next() {
    story(async |app| {
        let mut files = example(&another(&app));
        let id = imports(&app, &files).await.organization.unwrap();
        // S-3003 of C-2002 ends, and another one to the same plan begins on that day.
        replace(
            &mut files,
            "subscriptions.csv",
            "S-3003,C-2002,basis,2025-04-01,,9",
            "S-3003,C-2002,basis,2025-04-01,2026-12-01,9",
        );
        files.get_mut("subscriptions.csv").unwrap().push_str("S-9001,C-2002,basis,2026-12-01,,4\n");
        let report = imports(&app, &files).await;
        assert_eq!((report.total().made, report.total().changed), (1, 1));
        let next = subscriptions::by_external_id(&app.billing, id, "S-9001").await.unwrap().unwrap();
        assert_eq!(next.starts_on, date("2026-12-01"));
        let plans = catalog::plans::by_ids(&app.billing, id, &[next.plan_id]).await.unwrap();
        assert_eq!(plans[0].external_id, "basis");
        // Without the end the two would overlap, which only the second one can be told.
        files.get_mut("subscriptions.csv").unwrap().push_str("S-9002,C-2002,basis,2026-12-24,,4\n");
        let report = refuses(&app, &files, None).await;
        assert_eq!(places(&report), [("subscriptions.csv", Some(81), Some("startsOn"))]);
    });
}
