//! A retail statement as CSV (RFC 4180), for spreadsheets. Pure.
//!
//! A name that a spreadsheet would take for a formula is led in by an apostrophe. An unknown amount is an empty cell,
//! never zero.

use super::loader::{NamedLine, PartnerStatement};
use crate::csv::{amount, plain, push};

const HEADER: [&str; 12] = [
    "partnerExternalId",
    "month",
    "customerExternalId",
    "customerName",
    "planExternalId",
    "seatDays",
    "currency",
    "retail",
    "wholesaleNet",
    "adjustments",
    "margin",
    "wholesaleStatus",
];

/// One row for each line of the statement, below a header; amounts in major units with a point.
pub fn csv(statement: &PartnerStatement) -> String {
    let mut text = String::new();
    push(&mut text, &HEADER.map(str::to_owned));
    for line in &statement.lines {
        push(&mut text, &cells(statement, line));
    }
    text
}

fn cells(statement: &PartnerStatement, named: &NamedLine) -> [String; 12] {
    let line = &named.line;
    [
        plain(&statement.partner_external_id),
        statement.month.to_string(),
        plain(&named.customer_external_id),
        plain(&named.customer_name),
        plain(&named.plan_external_id),
        line.seat_days.to_string(),
        statement.currency.to_string(),
        line.retail.map(amount).unwrap_or_default(),
        amount(line.wholesale_net),
        amount(line.adjustments),
        line.margin.map(amount).unwrap_or_default(),
        if statement.finalized { "FINALIZED" } else { "PREVIEW" }.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use billing_primitives::{Currency, CustomerId, Money, PartnerId, PlanId};

    use super::super::statement::{RetailLine, RetailTotals};
    use super::*;

    fn dkk(minor: i64) -> Money {
        Money::new(minor, Currency::DKK)
    }

    fn named(customer: &str, name: &str, retail: Option<i64>) -> NamedLine {
        NamedLine {
            customer_external_id: customer.to_owned(),
            customer_name: name.to_owned(),
            plan_external_id: "pro".to_owned(),
            line: RetailLine {
                customer: CustomerId::new(),
                plan: PlanId::new(),
                seat_days: 300,
                parts: Vec::new(),
                retail: retail.map(dkk),
                wholesale_net: dkk(12_345),
                adjustments: dkk(-5),
                margin: retail.map(|retail| dkk(retail - 12_345)),
            },
        }
    }

    fn statement(lines: Vec<NamedLine>) -> PartnerStatement {
        PartnerStatement {
            partner: PartnerId::new(),
            partner_external_id: "P-1".to_owned(),
            month: "2026-04".parse().unwrap(),
            currency: Currency::DKK,
            finalized: true,
            lines,
            totals: RetailTotals { seat_days: 0, retail: None, wholesale_net: dkk(0), margin: None },
            warnings: Vec::new(),
        }
    }

    #[test]
    fn unknown_is_empty_and_amounts_are_numbers() {
        let text = csv(&statement(vec![named("C-1", "Kunde", Some(12_000)), named("C-2", "Kunde", None)]));
        let rows: Vec<&str> = text.split_terminator("\r\n").skip(1).collect();
        let expected = [
            "P-1,2026-04,C-1,Kunde,pro,300,DKK,120.00,123.45,-0.05,-3.45,FINALIZED",
            "P-1,2026-04,C-2,Kunde,pro,300,DKK,,123.45,-0.05,,FINALIZED",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn every_text_reads_back_and_no_text_runs() {
        let names = ["Å, \"B\" & Søn", "two\nlines", "=1+1", "+45", "-x", "@SUM", "\tTab", "a=b", "'", ""];
        let text = csv(&statement(names.map(|name| named("C-1", name, None)).to_vec()));
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let read: Vec<String> = reader.records().map(|row| row.unwrap()[3].to_owned()).collect();
        for (name, read) in names.iter().zip(&read) {
            assert_eq!(read.strip_prefix('\'').filter(|rest| !rest.is_empty()).unwrap_or(read), *name);
            assert!(!read.starts_with(['=', '+', '-', '@', '\t']), "{read}");
        }
        assert_eq!(read.len(), names.len());
        assert!(text.lines().next().unwrap().starts_with("partnerExternalId,month,customerExternalId"));
    }
}
