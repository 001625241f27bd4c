//! What a match must hold beyond its shape. A check gets the text and the match within it, and returns the bytes to
//! replace, or `None` if the match only looks alike.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

pub(super) type Check = fn(&str, Range<usize>) -> Option<Range<usize>>;

pub(super) fn always(_: &str, hit: Range<usize>) -> Option<Range<usize>> {
    Some(hit)
}

/// Length and Luhn check (ISO/IEC 7812-1). Numbers in groups may begin with anything; others must begin as cards of
/// that length do, so that time stamps and order numbers stay.
pub(super) fn card(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let digits: Vec<u32> = text[hit.clone()].chars().filter_map(|c| c.to_digit(10)).collect();
    let head = |n: usize| digits[..n].iter().fold(0, |head, digit| head * 10 + digit);
    let issued = match digits.len() {
        16 => matches!(head(1), 2..=6 | 9) || text[hit.clone()].contains([' ', '-', '.']),
        13 => head(1) == 4,
        14 => matches!(head(2), 36 | 38 | 39) || matches!(head(3), 300..=305),
        15 => matches!(head(2), 34 | 37),
        17..=19 => matches!(head(2), 62 | 50 | 56..=59 | 67) || head(1) == 4,
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, &digit)| match (at % 2, digit * 2) {
            (0, _) => digit,
            (_, twice) => twice / 10 + twice % 10,
        })
        .sum();
    let is_card = issued && sum.is_multiple_of(10) && digits.iter().any(|&digit| digit != digits[0]);
    // a fraction such as 0.4111111111111111 is no card
    let is_fraction = text[..hit.start].ends_with('.') && text[..hit.start - 1].ends_with(|c: char| c.is_ascii_digit());
    (is_card && !is_fraction).then_some(hit)
}

/// Lengths of IBANs by country, from the register of ISO 13616.
const IBAN_LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

/// The country's length and the remainder check of ISO 13616: country and check digits moved to the end, letters as
/// 10 to 35, modulo 97 leaves 1.
pub(super) fn iban(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let country = text[hit.start..hit.start + 2].to_ascii_uppercase();
    let at = (0..IBAN_LENGTHS.len()).step_by(4).find(|&at| IBAN_LENGTHS[at..at + 2] == country)?;
    let length: usize = IBAN_LENGTHS[at + 2..at + 4].parse().ok()?;
    let signs = text[hit.clone()].bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric());
    let signs: Vec<(usize, u8)> = signs.take(length).collect();
    let end = hit.start + signs.last()?.0 + 1;
    let whole = signs.len() == length && !text[end..].starts_with(|c: char| c.is_ascii_alphanumeric());
    let remainder =
        signs[4.min(signs.len())..].iter().chain(&signs[..4.min(signs.len())]).fold(0, |rest, (_, byte)| {
            let value = char::from(*byte).to_digit(36).unwrap_or_default();
            (rest * if value < 10 { 10 } else { 100 } + value) % 97
        });
    (whole && remainder == 1).then_some(hit.start..end)
}

/// Area 001 to 899 without 666, group and serial not zero: what the USA's administration gives out.
pub(super) fn ssn(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let number = &text[hit.clone()];
    let area: u32 = number[..3].parse().ok()?;
    let given_out = (1..900).contains(&area) && area != 666 && &number[4..6] != "00" && &number[7..] != "0000";
    (given_out && stands_alone(text, &hit)).then_some(hit)
}

/// No part of a longer word or number.
fn stands_alone(text: &str, hit: &Range<usize>) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    let (before, after) = (&text[..hit.start], &text[hit.end..]);
    let mut next = after.chars();
    let goes_on = match next.next() {
        Some('.' | '-' | ':') => next.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => joins(c),
        None => false,
    };
    let mut last = before.chars().rev();
    let went_before = match last.next() {
        Some('.' | '-') => last.next().is_some_and(|c| c.is_ascii_digit()),
        Some(c) => joins(c),
        None => false,
    };
    !goes_on && !went_before
}

/// What stands before a number with dots that is a version.
const VERSIONS: [&str; 8] = ["version", "ver", "v", "release", "build", "revision", "chrome/", "=="];
/// What stands before a number with dots that is a place in a text; its parts are small.
const PLACES: [&str; 6] = ["section", "chapter", "step", "figure", "table", "§"];
const LARGEST_PART: u8 = 40;

/// An address that may tell where somebody is: not of this computer, no mask, no version, no section number.
pub(super) fn ipv4(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let address: Ipv4Addr = text[hit.clone()].parse().ok()?;
    let octets = address.octets();
    let says_nothing = address.is_loopback()
        || octets[0] == 0
        || octets[0] == 255
        || matches!(octets, [8, 8, 8, 8] | [8, 8, 4, 4] | [1, 1, 1, 1])
        || octets.iter().all(|octet| *octet < 10);
    let is_network = octets[3] == 0 && text[hit.end..].starts_with('/');
    let before = text[..hit.start].trim_end_matches([' ', ':', '.', '(']);
    let before = &before[floor(before, before.len().saturating_sub(10))..];
    let before = before.to_lowercase();
    let follows = |word: &&'static str| {
        before.strip_suffix(*word).is_some_and(|rest| {
            !word.ends_with(|c: char| c.is_alphabetic()) || !rest.ends_with(|c: char| c.is_alphanumeric())
        })
    };
    let is_version = VERSIONS.iter().any(follows);
    let is_place = PLACES.iter().any(follows) && octets.iter().all(|part| *part <= LARGEST_PART);
    (!says_nothing && !is_network && !is_version && !is_place && stands_alone(text, &hit)).then_some(hit)
}

/// The nearest border of a character at or below `at`.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// All eight groups, or `::` in an address of a kind that is in use: `cafe::bed` is a path in C++ or Rust.
pub(super) fn ipv6(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let shown = text[hit.clone()].trim_end_matches('.');
    let shown = if shown.ends_with(':') && !shown.ends_with("::") { &shown[..shown.len() - 1] } else { shown };
    let address: Ipv6Addr = shown.parse().ok()?;
    let first = address.segments()[0];
    let in_use = matches!(first, 0x2000..=0x3fff | 0x64 | 0xfc00..=0xfdff | 0xfe80..=0xfebf | 0xff00..=0xff0f)
        || address.to_ipv4_mapped().is_some();
    let groups = shown.split(':').filter(|group| !group.is_empty()).count();
    let is_address = !shown.contains("::") || (in_use && groups >= 2) || groups >= 5;
    let plain = address.is_loopback() || address.is_unspecified();
    let range = hit.start..hit.start + shown.len();
    let alone = !text[..range.start].ends_with(|c: char| c.is_alphanumeric() || "_:.".contains(c))
        && !text[range.end..].starts_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
    (is_address && !plain && alone && shown.contains(|c: char| c.is_ascii_digit())).then_some(range)
}

pub(super) fn mac(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let digits = text[hit.clone()].bytes().filter(u8::is_ascii_hexdigit);
    let first = digits.clone().next()?;
    (stands_alone(text, &hit) && digits.into_iter().any(|digit| digit != first)).then_some(hit)
}

/// File endings that look like a top-level domain in `icon@2x.png`, and hosts whose `git@` is nobody's address.
const NO_DOMAIN: [&str; 14] =
    ["png", "jpg", "jpeg", "gif", "svg", "webp", "css", "scss", "js", "ts", "html", "json", "py", "lock"];

pub(super) fn email(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let (local, domain) = text[hit.clone()].split_once('@')?;
    let ending = domain.rsplit('.').next()?.to_lowercase();
    let is_file = NO_DOMAIN.contains(&&*ending);
    let is_repository = local == "git";
    // `uses: actions/cache@v3.When`, the space forgotten
    let is_version = domain.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_retina = domain.starts_with(|c: char| c.is_ascii_digit()) && domain[1..].starts_with("x.");
    (local.len() <= 128 && domain.len() <= 255 && !is_file && !is_repository && !is_version && !is_retina)
        .then_some(hit)
}

/// 8 to 15 digits (E.164 allows no more), not in the middle of another number or of a calculation.
pub(super) fn phone(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let digits = text[hit.clone()].bytes().filter(u8::is_ascii_digit).count();
    let is_sum = text[hit.start..].starts_with('+')
        && text[..hit.start].trim_end().ends_with(|c: char| c.is_alphanumeric() || ")]=*/".contains(c))
        && !text[..hit.start].ends_with(char::is_whitespace);
    let in_path = text[..hit.start].ends_with('/') || text[hit.end..].starts_with('/');
    ((8..=15).contains(&digits) && !is_sum && !in_path && stands_alone(text, &hit)).then_some(hit)
}

/// The same for numbers in groups without any sign of a phone, which a row of a table may hold as well.
pub(super) fn grouped_phone(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let digits = text[hit.clone()].bytes().filter(u8::is_ascii_digit).count();
    let is_number = |word: Option<&str>| {
        word.is_some_and(|word| {
            word.contains(|c: char| c.is_ascii_digit())
                && word.chars().all(|c| c.is_ascii_digit() || ".,]|".contains(c))
        })
    };
    let line = |text: &str| text.split('\n').next().is_some_and(|line| is_number(line.split_whitespace().next()));
    let in_row = is_number(text[..hit.start].rsplit('\n').next().and_then(|line| line.split_whitespace().next_back()))
        || line(&text[hit.end..]);
    let spaced = text[hit.clone()].contains(' ') && !text[hit.clone()].contains('(');
    (digits >= 10 && !(spaced && in_row)).then_some(hit).and_then(|hit| phone(text, hit))
}

/// A number that stands behind a word such as `phone`: 7 digits are enough.
pub(super) fn named_phone(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let digits: Vec<u8> = text[hit.clone()].bytes().filter(u8::is_ascii_digit).collect();
    let varies = digits.iter().any(|digit| *digit != digits[0]);
    ((7..=15).contains(&digits.len()) && varies && stands_alone(text, &hit)).then_some(hit)
}

/// Area and exchange of North America begin with 2 to 9.
pub(super) fn nanp(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let digits: Vec<u8> = text[hit.clone()].bytes().filter(u8::is_ascii_digit).collect();
    let digits = digits.strip_prefix(b"1").filter(|rest| rest.len() == 10).unwrap_or(&digits);
    let given_out = digits.len() == 10 && digits[0] >= b'2' && digits[3] >= b'2';
    given_out.then_some(hit).and_then(|hit| grouped_phone(text, hit))
}

/// What has a service's prefix is a key unless it is words joined by signs: `sk-estate-planning-documents`.
pub(super) fn token(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let hit = hit.start..hit.start + text[hit].trim_end_matches(['.', '-', '_', '=']).len();
    let has = |of: fn(&u8) -> bool| text[hit.clone()].bytes().any(|byte| of(&byte));
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    (mixed || has(u8::is_ascii_digit)).then_some(hit)
}

/// Letters and digits that a machine drew, not words joined by signs: `task-force-management` is none.
pub(super) fn drawn(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let hit = hit.start..hit.start + text[hit].trim_end_matches(['.', ',', ';', ':', '-', '_', '!', '?']).len();
    let token = &text[hit.clone()];
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    let has = |of: fn(&u8) -> bool| token.bytes().any(|byte| of(&byte));
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    let random = entropy(token) >= 3.0 && (digits >= 2 && has(u8::is_ascii_alphabetic) || mixed && digits >= 1);
    let plain = token.len() >= 30 && mixed && !token.contains(['-', '_', '.']) && entropy(token) >= 4.0;
    (token.len() >= 12 && (random || plain)).then_some(hit)
}

/// A longer value is a file or a blob.
const LONGEST: usize = 512;

/// The value of an assignment to a name such as `api_key`: drawn, and no piece of code.
pub(super) fn assigned_key(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let hit = drawn(text, hit)?;
    let value = &text[hit.clone()];
    let is_code = value.contains(['(', ')', '{', '}', '[', ']', '$', ';', ',', '|', '<', '>', '\\', '*']);
    // `settings.API_KEY2`: a word before a dot is no drawn text
    let is_field = value.split_once('.').is_some_and(|(owner, _)| {
        owner.len() >= 4 && owner.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    });
    let is_path = value.contains("://") || value.starts_with('/') || value.matches('.').count() > 3;
    ((16..=LONGEST).contains(&value.len()) && !is_code && !is_field && !is_path).then_some(hit)
}

/// Words that stand in a password's place in examples.
const PLACEHOLDERS: [&str; 14] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "secret",
    "changeme",
    "your",
    "example",
    "token",
    "xxx",
    "***",
    "placeholder",
    "user",
    "todo",
];

/// A password has a letter and a digit or sign, and is neither code nor the example's own word.
pub(super) fn password(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let value = text[hit.clone()].trim_end_matches(['.', ',', ';', ')', ']', '}', '!', '?', '\\']);
    let plain = value.to_lowercase();
    let letters = value.contains(|c: char| c.is_alphabetic());
    let others = value.chars().filter(|c| c.is_ascii_digit() || "!@#%^&+~".contains(*c)).count();
    let is_code = value.contains(['(', '{', '[', '$', ';', '<', '|', '\\', '=', '/'])
        || value.contains('.') && value.split('.').all(|part| part.starts_with(|c: char| c.is_alphabetic()))
        || value.contains("->")
        || value.contains("::");
    let is_name =
        value.contains('_') && value.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
    let is_example = PLACEHOLDERS.iter().any(|word| plain.trim_end_matches(|c: char| c.is_ascii_digit()) == *word)
        || plain.starts_with("your");
    let end = hit.start + value.len();
    ((6..=LONGEST).contains(&value.len()) && letters && others > 0 && !is_code && !is_name && !is_example)
        .then_some(hit.start..end)
}

/// The password of `scheme://user:password@host`, whatever it is made of, unless it is the example's own word.
pub(super) fn url_password(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let value = text[hit.clone()].to_lowercase();
    let is_example = PLACEHOLDERS.contains(&&*value)
        || value.starts_with(['$', '{', '<', '*'])
        || ["your", "my"]
            .iter()
            .any(|whose| value.strip_prefix(whose).is_some_and(|of| PLACEHOLDERS.iter().any(|word| of.contains(word))));
    (value.len() <= LONGEST && value.contains(char::is_alphanumeric) && !is_example).then_some(hit)
}

/// A secret key of AWS (40 signs) or a storage key of Azure (88), which have no prefix: of all their length nothing
/// but base64, and as mixed as drawn letters are.
pub(super) fn bare_key(text: &str, hit: Range<usize>) -> Option<Range<usize>> {
    let token = &text[hit.clone()];
    let has = |of: fn(&u8) -> bool| token.bytes().filter(of).count();
    // A drawn key is nearly half capitals; a name of joined words has few, and no digit.
    let capitals = has(u8::is_ascii_uppercase);
    let drawn = has(u8::is_ascii_digit) >= 1 || capitals >= 12;
    let mixed = has(u8::is_ascii_lowercase) >= 4 && capitals >= 4 && drawn;
    let is_key = match token.len() {
        40 => !token.contains('=') && token.matches('/').count() <= 4 && entropy(token) >= 4.3,
        88 => token.ends_with("==") && entropy(token) >= 4.8,
        _ => false,
    };
    let goes_on = |c: char| c.is_alphanumeric() || "+/=_-".contains(c);
    let before = &text[..hit.start];
    let alone = (!before.ends_with(goes_on) || before.ends_with('=')) && !text[hit.end..].starts_with(goes_on);
    let in_path = before.ends_with(['.', '%', '#']) || before.ends_with("base64,");
    (is_key && mixed && alone && !in_path).then_some(hit)
}

/// Shannon entropy of the bytes, in bits a byte.
fn entropy(text: &str) -> f64 {
    let mut counts = [0usize; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let share = |count: &usize| *count as f64 / text.len() as f64;
    counts.iter().filter(|count| **count > 0).map(|count| -share(count) * share(count).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(check: Check, text: &str) -> bool {
        check(text, 0..text.len()) == Some(0..text.len())
    }

    #[test]
    fn cards_by_hand() {
        // 4111…: doubled from the right, 2 x 1 seven times and 2 x 4 = 8: 8 + 7 x 2 + 8 x 1 = 30
        assert!(whole(card, "4111 1111 1111 1111") && whole(card, "378282246310005"));
        assert!(!whole(card, "4111 1111 1111 1112"));
        // Luhn holds, but no card of 13 digits begins with 1: a time stamp in milliseconds
        assert!(!whole(card, "1680000000003") && !whole(card, "0000000000000000"));
    }

    #[test]
    fn ibans_of_the_register() {
        for good in ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "no9386011117947"] {
            assert!(whole(iban, good), "{good}");
        }
        for bad in ["GB82 WEST 1234 5698 7654 33", "DE8937040044053201300", "XX82WEST12345698765432"] {
            assert!(iban(bad, 0..bad.len()).is_none(), "{bad}");
        }
        assert_eq!(iban("DE89370400440532013000 IS MINE", 0..30), Some(0..22));
    }

    #[test]
    fn addresses_and_what_looks_alike() {
        let found = |check: Check, text: &str, part: &str| {
            let at = text.find(part).unwrap();
            check(text, at..at + part.len()).is_some()
        };
        assert!(found(ipv4, "from 192.168.0.12.", "192.168.0.12"));
        for (text, part) in [
            ("version 10.4.21.3", "10.4.21.3"),
            ("v10.4.21.3", "10.4.21.3"),
            ("127.0.0.1", "127.0.0.1"),
            ("255.255.255.0", "255.255.255.0"),
            ("section 2.1.3.4", "2.1.3.4"),
            ("12.13.14.15.16", "12.13.14.15"),
        ] {
            assert!(!found(ipv4, text, part), "{text}");
        }
        for good in ["2001:db8::ff00:42:8329", "fe80::1ff:fe23:4567:890a", "::ffff:192.0.2.128", "1:2:3:4:5:6:7:8"] {
            assert!(whole(ipv6, good), "{good}");
        }
        for bad in ["cafe::bed1", "::1", "a::b", "10:20:30"] {
            assert!(ipv6(bad, 0..bad.len()).is_none(), "{bad}");
        }
    }

    #[test]
    fn entropy_by_hand() {
        assert_eq!(entropy("aabb"), 1.0);
        assert_eq!(entropy("abcd"), 2.0);
        assert_eq!(entropy("aaaa"), 0.0);
    }
}
