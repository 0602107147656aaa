//! The files of a folder: their names, their columns, and which column a refusal is about. Pure.

use super::report::Problem;
use crate::error::Refusal;

macro_rules! files {
    ($($variant:ident = $name:literal, [$($column:literal),* $(,)?];)*) => {
        /// A file that can be imported, in the order of reading: a row only names what stands in files before its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum File { $($variant),* }

        impl File {
            pub const ALL: &'static [File] = &[$(File::$variant),*];

            pub const fn name(self) -> &'static str {
                match self { $(File::$variant => $name),* }
            }

            /// The header, in the order in which it is usually written.
            pub const fn columns(self) -> &'static [&'static str] {
                match self { $(File::$variant => &[$($column),*]),* }
            }
        }
    };
}

files! {
    Organization = "organization.csv", [
        "externalId", "name", "mode", "timeZone", "currency", "country", "vatNumber", "registrationNumber", "street",
        "postalCode", "city", "email", "invoicePrefix", "creditNotePrefix", "paymentTermsDays", "paymentTermsFrom",
        "billingFrom", "runSchedule",
    ];
    Plans = "plans.csv", ["externalId", "name", "pricing", "countsUsers"];
    Partners = "partners.csv", [
        "externalId", "legalName", "email", "street", "postalCode", "city", "country", "vatNumber", "vatNumberStatus",
        "vatNumberCheckedAt", "vatNumberAnswer", "currency", "paymentTermsDays", "paymentTermsFrom", "parentExternalId",
    ];
    Prices = "prices.csv", [
        "priceListExternalId", "currency", "partnerExternalId", "effectiveOn", "planExternalId", "unitPrice",
    ];
    Tiers = "tiers.csv", [
        "effectiveFrom", "code", "name", "fromUsers", "discountBps", "graceMonths", "indicative",
    ];
    Customers = "customers.csv", ["externalId", "name", "country", "partnerExternalId", "ownedFrom"];
    Subscriptions = "subscriptions.csv", [
        "externalId", "customerExternalId", "planExternalId", "startsOn", "endsOn", "seats",
    ];
    SeatChanges = "seat_changes.csv", ["externalId", "subscriptionExternalId", "effectiveOn", "quantity", "delta"];
    RetailPrices = "retail_prices.csv", [
        "partnerExternalId", "planExternalId", "customerExternalId", "effectiveOn", "currency", "unitPrice",
    ];
    ExchangeRates = "exchange_rates.csv", ["date", "from", "to", "rate", "source"];
}

impl serde::Serialize for File {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl File {
    pub(super) fn named(name: &str) -> Option<File> {
        File::ALL.iter().copied().find(|file| file.name() == name)
    }

    /// A refusal of the business as the problem of a line.
    pub(super) fn problem(self, line: u64, refusal: &Refusal) -> Problem {
        let (field, reason) = match refusal {
            Refusal::DiffersFromRecorded { field, .. } => {
                (Some(*field), format!("recorded with another {field}; history is not overwritten"))
            }
            Refusal::Invalid { field, reason } => (Some(*field), reason.clone()),
            _ => (refusal.field(), refusal.to_string()),
        };
        Problem {
            file: self.name().to_owned(),
            line: Some(line),
            column: field.and_then(|field| self.column_of(field)),
            code: refusal.code(),
            reason,
        }
    }

    /// The column of an input field of the API.
    fn column_of(self, field: &str) -> Option<&'static str> {
        let spoken = match (self, field) {
            (File::Customers, "owner") => "partnerExternalId",
            (File::Partners, "checkedAt") => "vatNumberCheckedAt",
            (File::Prices, "prices") => "unitPrice",
            (File::SeatChanges, "seats") => "quantity",
            (File::Tiers, "tiers") => "code",
            _ => field,
        };
        let means = |column: &&str| *column == spoken || column.strip_suffix("ExternalId") == Some(spoken);
        self.columns().iter().copied().find(means)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_finds_its_column() {
        for (file, field, column) in [
            (File::Customers, "country", Some("country")),
            (File::Customers, "owner", Some("partnerExternalId")),
            (File::Subscriptions, "plan", Some("planExternalId")),
            (File::Partners, "parent", Some("parentExternalId")),
            (File::Prices, "priceList", Some("priceListExternalId")),
            (File::Prices, "prices", Some("unitPrice")),
            (File::SeatChanges, "delta", Some("delta")),
            (File::ExchangeRates, "partner", None),
        ] {
            assert_eq!(file.column_of(field), column, "{file:?} {field}");
        }
    }

    #[test]
    fn files_are_found_by_their_exact_names() {
        assert!(File::ALL.iter().all(|file| File::named(file.name()) == Some(*file)));
        for name in ["Plans.csv", "plans.CSV", "plan.csv", ""] {
            assert_eq!(File::named(name), None, "{name}");
        }
    }
}
