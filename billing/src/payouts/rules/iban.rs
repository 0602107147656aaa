//! International bank account numbers (ISO 13616): a number that cannot exist is found before money is sent there.
//!
//! Whether the account exists, and whose it is, no check of the number can say.

/// Lengths of the countries of the SEPA schemes (European Payments Council, list EPC409-09), and of Greenland and the
/// Faroe Islands, whose accounts are Danish ones.
const LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AL", 28),
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("RS", 22),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("VA", 22),
];

/// The number without spaces and in capitals, when [`iban_is_valid`].
pub fn normalized_iban(text: &str) -> Option<String> {
    let iban: String = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect();
    is_possible(iban.as_bytes()).then_some(iban)
}

/// Whether the number is possible: its check digits fit (mod 97), and it is as long as its country's numbers are, where
/// that is a SEPA country. Spaces and small letters are allowed.
pub fn iban_is_valid(text: &str) -> bool {
    normalized_iban(text).is_some()
}

fn is_possible(iban: &[u8]) -> bool {
    let Some(([c1, c2, d1, d2], account)) = iban.split_first_chunk() else { return false };
    let country_is_told = c1.is_ascii_uppercase() && c2.is_ascii_uppercase();
    let characters_fit = account.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    if !country_is_told || !characters_fit || !d1.is_ascii_digit() || !d2.is_ascii_digit() {
        return false;
    }
    let listed = LENGTHS.iter().find(|(country, _)| country.as_bytes() == [*c1, *c2]);
    let long_enough = listed.map_or((14..=34).contains(&iban.len()), |(_, length)| iban.len() == *length);
    // 00, 01 and 99 would fit where 97, 98 and 02 belong, but are never given out.
    let check_digits_exist = !matches!([*d1, *d2], [b'0', b'0' | b'1'] | [b'9', b'9']);
    long_enough && check_digits_exist && remainder(account.iter().chain(&iban[..4])) == 1
}

/// Of the number that its characters make, letters counting from 10 for A, divided by 97.
fn remainder<'a>(characters: impl Iterator<Item = &'a u8>) -> u32 {
    characters.fold(0, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn possible_numbers_are_found() {
        for iban in [
            "DK50 0040 0440 1162 43",
            "DE89370400440532013000",
            "de89 3704 0044 0532 0130 00",
            "NO93 8601 1117 947",
            "GB29 NWBK 6016 1331 9268 19",
            "FR14 2004 1010 0505 0001 3M02 606",
            "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
            "SE45 5000 0000 0583 9825 7466",
            "FO62 6460 0001 6316 34",
            "TR33 0006 1005 1978 6457 8413 26",
        ] {
            assert!(iban_is_valid(iban), "{iban}");
        }
        assert_eq!(normalized_iban(" de89 3704 0044 0532 0130 00 ").as_deref(), Some("DE89370400440532013000"));
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for wrong in [
            "",
            "DK",
            "DK50 0040 0440 1162 44",
            "DK50 0040 0440 1162 4",
            "DE89 3704 0044 0532 0130 0",
            "DE89-3704-0044-0532-0130-00",
            "1250 0040 0440 1162 43",
            "DKÆØ 0040 0440 1162 43",
            "DK5O 0040 0440 1162 43",
            "TR33 0006 1005 1978 6457 8413 27",
            "XX00",
            // Their check digits fit, but no Danish number is so long or short.
            "DK39 0040 0440 1162 4",
            "DK47 0040 0440 1162 430",
            // They would fit as 97, 98 and 02.
            "DK00 0040 0440 1000 71",
            "DK01 0040 0440 1000 53",
            "DK99 0040 0440 1000 35",
        ] {
            assert_eq!(normalized_iban(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn one_wrong_digit_never_passes(at in 2..22_usize, digit in 0..10_u8) {
            let mut iban = *b"DE89370400440532013000";
            prop_assume!(iban[at] != b'0' + digit);
            iban[at] = b'0' + digit;
            prop_assert!(!iban_is_valid(std::str::from_utf8(&iban).unwrap()));
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,40}") {
            if let Some(iban) = normalized_iban(&text) {
                prop_assert_eq!(normalized_iban(&iban), Some(iban));
            }
        }
    }
}
