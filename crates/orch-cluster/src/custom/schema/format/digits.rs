//! Formats of numbers that people are given: their checksums.

use super::are_digits;

/// Ten characters, of which the last may be an X for 10, spaces and dashes apart.
pub(super) fn is_isbn10(text: &str) -> bool {
    let plain = without_dashes(text);
    let (digits, last) = plain.split_at(plain.len().saturating_sub(1));
    if digits.len() != 9 || !digits.iter().chain(last).all(|byte| value(*byte).is_some()) {
        return false;
    }
    let is_x_last_alone = digits.iter().all(u8::is_ascii_digit);
    let weighted = (1..)
        .zip(&plain)
        .filter_map(|(weight, byte)| Some(weight * value(*byte)?));
    is_x_last_alone && weighted.sum::<u32>() % 11 == 0
}

fn value(byte: u8) -> Option<u32> {
    match byte {
        b'X' => Some(10),
        _ => char::from(byte).to_digit(10),
    }
}

/// Thirteen digits, spaces and dashes apart.
pub(super) fn is_isbn13(text: &str) -> bool {
    let plain = without_dashes(text);
    if plain.len() != 13 || !plain.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let weighted = [1, 3].into_iter().cycle().zip(&plain);
    weighted
        .map(|(weight, byte)| weight * u32::from(byte - b'0'))
        .sum::<u32>()
        % 10
        == 0
}

fn without_dashes(text: &str) -> Vec<u8> {
    let is_kept = |byte: &u8| *byte != b'-' && !b" \t\n\x0c\r".contains(byte);
    text.bytes().filter(is_kept).collect()
}

/// A card's number of one of the large issuers; what is no digit does not count.
pub(super) fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let begins = |from: u32, to: u32| {
        let length = to.to_string().len();
        let start = digits.get(..length).and_then(|start| start.parse().ok());
        start.is_some_and(|start: u32| (from..=to).contains(&start))
    };
    let is_issued = match digits.len() {
        13 => begins(4, 4),
        14 => begins(300, 305) || begins(36, 36) || begins(38, 38),
        15 => begins(34, 34) || begins(37, 37) || begins(2131, 2131) || begins(1800, 1800),
        16 => begins(4, 4) || begins(51, 55) || begins(6011, 6011) || begins(650, 659) || begins(35, 35),
        _ => false,
    };
    let doubled = digits.bytes().rev().enumerate().map(|(place, byte)| {
        let digit = u32::from(byte - b'0') * if place % 2 == 1 { 2 } else { 1 };
        digit / 10 + digit % 10
    });
    is_issued && doubled.sum::<u32>() % 10 == 0
}

/// Three, two and four digits with dashes or spaces between.
pub(super) fn is_ssn(text: &str) -> bool {
    let parts: Vec<&str> = text.split([' ', '-']).collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [3, 2, 4] && parts.iter().all(|part| are_digits(part))
}
