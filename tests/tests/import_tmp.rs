//! Temporary.
#[path = "../scenarios/import.rs"]
mod import;

#[test]
fn zz_big() {
    use std::fmt::Write;
    let n: usize = std::env::var("BIG").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    if n == 0 {
        return;
    }
    tests::story(async |app| {
        let mut customers = "externalId,name,country,partnerExternalId,ownedFrom\n".to_owned();
        let mut subs = "externalId,customerExternalId,planExternalId,startsOn,endsOn,seats\n".to_owned();
        let mut seats = "externalId,subscriptionExternalId,effectiveOn,quantity,delta\n".to_owned();
        let mut partners = "externalId,legalName,email,street,postalCode,city,country,vatNumber,vatNumberStatus,vatNumberCheckedAt,vatNumberAnswer,currency,paymentTermsDays,paymentTermsFrom,parentExternalId\n".to_owned();
        for p in 0..200 {
            writeln!(partners, "P-{p},P ApS,p@p.example,Vej 1,8000,By,DK,,,,,DKK,,,").unwrap();
        }
        for c in 0..n / 4 {
            writeln!(customers, "C-{c},Kunde {c} ApS,DK,P-{},2025-01-01", c % 200).unwrap();
        }
        let plans = "externalId,name,pricing,countsUsers\na,A,PER_SEAT,\nb,B,PER_SEAT,\nc,C,PER_SEAT,\nd,D,PER_SEAT,\n";
        for s in 0..n {
            writeln!(subs, "S-{s},C-{},{},2025-01-01,,{}", s / 4, ["a", "b", "c", "d"][s % 4], s % 90).unwrap();
            writeln!(seats, "SC-{s},S-{s},2025-03-01,,2").unwrap();
        }
        let folder = billing::import::Folder::of([
            ("partners.csv", partners.into_bytes()),
            ("plans.csv", plans.as_bytes().to_vec()),
            ("customers.csv", customers.into_bytes()),
            ("subscriptions.csv", subs.into_bytes()),
            ("seat_changes.csv", seats.into_bytes()),
        ]);
        for _ in 0..2 {
            let at = std::sync::Mutex::new((String::new(), std::time::Instant::now()));
            let hear = |file: &str, rows: u64, total: u64| {
                let mut at = at.lock().unwrap();
                if at.0 != file {
                    *at = (file.to_owned(), std::time::Instant::now());
                }
                if rows == total {
                    eprintln!("{file} {rows} {:?}", at.1.elapsed());
                }
            };
            let start = std::time::Instant::now();
            let report = billing::import::import(&app.billing, &folder, Some(app.organization), &hear).await.unwrap();
            let rss = std::fs::read_to_string("/proc/self/status")
                .unwrap()
                .lines()
                .filter(|l| l.starts_with("VmHWM") || l.starts_with("VmRSS"))
                .collect::<Vec<_>>()
                .join(" ");
            eprintln!("{:?} {:?} {rss}", report.total(), start.elapsed());
        }
    });
}
