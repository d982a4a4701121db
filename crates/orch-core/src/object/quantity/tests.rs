//! Quantities read, compute and print as Kubernetes' do.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn q(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn reads_every_form_of_the_grammar() {
    let cases: &[(&str, i128, QuantityFormat)] = &[
        ("0", 0, QuantityFormat::DecimalSi),
        ("0n", 0, QuantityFormat::DecimalSi),
        ("-0", 0, QuantityFormat::DecimalSi),
        ("0Ki", 0, QuantityFormat::BinarySi),
        ("0.0e3", 0, QuantityFormat::DecimalExponent),
        ("1n", 1, QuantityFormat::DecimalSi),
        ("1u", 1_000, QuantityFormat::DecimalSi),
        ("100m", 100_000_000, QuantityFormat::DecimalSi),
        ("1", NANO, QuantityFormat::DecimalSi),
        ("+1", NANO, QuantityFormat::DecimalSi),
        ("1.", NANO, QuantityFormat::DecimalSi),
        (".5", NANO / 2, QuantityFormat::DecimalSi),
        ("0000.50", NANO / 2, QuantityFormat::DecimalSi),
        ("-3.01", -3_010_000_000, QuantityFormat::DecimalSi),
        ("1k", 1_000 * NANO, QuantityFormat::DecimalSi),
        ("1M", 1_000_000 * NANO, QuantityFormat::DecimalSi),
        ("1G", NANO * NANO, QuantityFormat::DecimalSi),
        ("1T", 1_000 * NANO * NANO, QuantityFormat::DecimalSi),
        ("1P", 1_000_000 * NANO * NANO, QuantityFormat::DecimalSi),
        ("1E", NANO * NANO * NANO, QuantityFormat::DecimalSi),
        ("1e3", 1_000 * NANO, QuantityFormat::DecimalExponent),
        ("1E3", 1_000 * NANO, QuantityFormat::DecimalExponent),
        ("1e+3", 1_000 * NANO, QuantityFormat::DecimalExponent),
        ("100E-3", NANO / 10, QuantityFormat::DecimalExponent),
        ("1Ki", 1024 * NANO, QuantityFormat::BinarySi),
        ("1Mi", (1 << 20) * NANO, QuantityFormat::BinarySi),
        ("1.5Gi", (3 << 29) * NANO, QuantityFormat::BinarySi),
        ("1Ti", (1 << 40) * NANO, QuantityFormat::BinarySi),
        ("1Pi", (1 << 50) * NANO, QuantityFormat::BinarySi),
        ("1Ei", (1 << 60) * NANO, QuantityFormat::BinarySi),
        (
            "18446744073709551616",
            (1 << 64) * NANO,
            QuantityFormat::DecimalSi,
        ),
        (
            "100000000000E",
            100_000_000_000 * NANO * NANO * NANO,
            QuantityFormat::DecimalSi,
        ),
    ];
    for &(text, nanos, format) in cases {
        assert_eq!((q(text).nanos(), q(text).format()), (nanos, format), "{text}");
    }
}

#[test]
fn what_is_finer_than_a_billionth_rounds_away_from_zero() {
    let cases: &[(&str, i128)] = &[
        ("0.1n", 1),
        ("1.1n", 2),
        ("-0.1n", -1),
        ("0.9999999999", NANO),
        ("1e-1000", 1),
        ("1e-99999999999999999999", 1),
        ("0e-1000", 0),
        ("0.0000000001Ki", 103), // 102.4
        ("0.00000000000000000000000000000000000000001Ei", 1),
        ("0.00000000009765625Ki", 100), // 100 exactly
        ("1.0000000000000000000", NANO),
    ];
    for &(text, nanos) in cases {
        assert_eq!(q(text).nanos(), nanos, "{text}");
    }
}

#[test]
fn a_binary_amount_stops_where_kubernetes_stops_it() {
    for text in [
        "8Ei",
        "9.5Ei",
        "100000000000000000000Ki",
        "99999999999999999999999999999999999999999Ei",
    ] {
        assert_eq!(q(text).value(), i64::MAX, "{text}");
        assert_eq!(q(text).to_string(), i64::MAX.to_string(), "{text}");
        assert_eq!(q(&format!("-{text}")).nanos(), -i128::from(i64::MAX) * NANO);
    }
    assert_eq!(q("7Ei").to_string(), "7Ei");
}

#[test]
fn a_wrong_text_is_refused_with_what_is_allowed() {
    let number = |text: &str| QuantityError::Number { text: text.into() };
    let suffix = |text: &str, suffix: &str| QuantityError::Suffix {
        text: text.into(),
        suffix: suffix.into(),
    };
    let cases = [
        ("", QuantityError::Empty),
        ("-", number("-")),
        (".", number(".")),
        ("Ki", number("Ki")),
        ("abc", number("abc")),
        ("--1", number("--1")),
        (" 1", number(" 1")),
        ("1.1.1", number("1.1.1")),
        ("1 ", suffix("1 ", " ")),
        ("1.1.M", number("1.1.M")),
        ("1+1.0M", suffix("1+1.0M", "+1.0M")),
        ("0.1mi", suffix("0.1mi", "mi")),
        ("10gb", suffix("10gb", "gb")),
        ("1K", suffix("1K", "K")),
        ("1e", suffix("1e", "e")),
        ("-3.01e-", suffix("-3.01e-", "e-")),
        ("1e3.5", suffix("1e3.5", "e3.5")),
        ("1e3Ki", suffix("1e3Ki", "e3Ki")),
        ("1é", suffix("1é", "é")),
        (
            "1000000000000E",
            QuantityError::Range {
                text: "1000000000000E".into(),
            },
        ),
        (
            "1e1000",
            QuantityError::Range {
                text: "1e1000".into(),
            },
        ),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<Quantity>(), Err(error), "{text}");
    }
    let long = "1".repeat(257);
    assert_eq!(
        long.parse::<Quantity>(),
        Err(QuantityError::TooLong { length: 257 })
    );
    assert!(
        "1Gb"
            .parse::<Quantity>()
            .unwrap_err()
            .to_string()
            .contains("Ki, Mi, Gi")
    );
}

#[test]
fn is_shown_in_kubernetes_canonical_form() {
    let cases = [
        ("0Mi", "0"),
        ("1.5", "1500m"),
        ("1.5Gi", "1536Mi"),
        ("1000m", "1"),
        ("1000", "1k"),
        ("1024", "1024"),
        ("1024000", "1024k"),
        ("1Ki", "1Ki"),
        ("0.5Ki", "512"),
        ("512Ki", "512Ki"),
        ("1024Ki", "1Mi"),
        ("1.1Ki", "1126400m"),
        ("0.0001Ki", "102400u"),
        ("1.2345", "1234500u"),
        ("0.9n", "1n"),
        ("100m", "100m"),
        ("-1500m", "-1500m"),
        ("-2048Ki", "-2Mi"),
        ("12e6", "12e6"),
        ("1e4", "10e3"),
        ("1e0", "1"),
        ("1e-1", "100e-3"),
        ("1e-9", "1e-9"),
        ("1000E", "1e21"),
        ("123456789E", "123456789E"),
    ];
    for (text, canonical) in cases {
        assert_eq!(q(text).to_string(), canonical, "{text}");
        assert_eq!(q(canonical).to_string(), canonical);
    }
}

#[test]
fn whole_numbers_round_away_from_zero_and_stop_at_the_ends() {
    assert_eq!(
        (q("1.1").value(), q("1.0").value(), q("-1.1").value()),
        (2, 1, -2)
    );
    assert_eq!(
        (
            q("1n").milli_value(),
            q("250m").milli_value(),
            q("2").milli_value()
        ),
        (1, 250, 2000)
    );
    assert_eq!(
        (q("100E").value(), q("-100E").milli_value()),
        (i64::MAX, i64::MIN)
    );
    assert!((q("2.5").as_f64() - 2.5).abs() < f64::EPSILON);
}

#[test]
fn a_sum_has_the_left_notation_unless_the_left_is_zero() {
    assert_eq!((q("1Gi") + q("1G")).format(), QuantityFormat::BinarySi);
    assert_eq!((q("0") + q("1Gi")).to_string(), "1Gi");
    assert_eq!((q("0") - q("1Gi")).to_string(), "-1Gi");
    assert_eq!(
        [q("1Gi"), q("1Gi")].into_iter().sum::<Quantity>().to_string(),
        "2Gi"
    );
    assert_eq!(q("1Ki"), q("1024"));
}

#[test]
fn operators_stop_at_the_ends_of_the_range() {
    assert_eq!(Quantity::MAX + q("1n"), Quantity::MAX);
    assert_eq!(Quantity::MIN - q("1n"), Quantity::MIN);
    assert_eq!(Quantity::MIN * 2, Quantity::MIN);
    assert_eq!(Quantity::MAX * -2, Quantity::MIN);
    assert_eq!(-Quantity::MIN, Quantity::MAX);
    assert_eq!(Quantity::from_nanos(i128::MIN), Quantity::MIN);
    assert_eq!(Quantity::MAX.checked_add(q("1n")), None);
    assert_eq!(Quantity::MIN.checked_sub(q("1n")), None);
    assert_eq!(Quantity::MAX.checked_mul(2), None);
}

#[test]
fn json_takes_strings_numbers_and_null_and_gives_strings() {
    let cases = [
        (json!("1.5Gi"), "1536Mi"),
        (json!(" 5m "), "5m"),
        (json!(2), "2"),
        (json!(-2000), "-2k"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(0.1), "100m"),
        (json!(null), "0"),
    ];
    for (wire, canonical) in cases {
        let quantity: Quantity = serde_json::from_value(wire).unwrap();
        assert_eq!(serde_json::to_value(quantity).unwrap(), json!(canonical));
    }
    let error = serde_json::from_value::<Quantity>(json!("5 m"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown suffix \" m\""), "{error}");
    assert!(serde_json::from_value::<Quantity>(json!([1])).is_err());
}

fn formats() -> impl Strategy<Value = QuantityFormat> {
    prop_oneof![
        Just(QuantityFormat::DecimalSi),
        Just(QuantityFormat::BinarySi),
        Just(QuantityFormat::DecimalExponent)
    ]
}

fn quantities() -> impl Strategy<Value = Quantity> {
    let nanos = prop_oneof![
        -i128::MAX..=i128::MAX,
        (any::<i64>(), 0..20u32).prop_map(|(n, zeros)| i128::from(n).saturating_mul(10_i128.pow(zeros))),
        (any::<i64>(), 0..6u32)
            .prop_map(|(n, power)| (i128::from(n >> 20) * NANO * 1024_i128.pow(power)) >> 30),
    ];
    (nanos, formats()).prop_map(|(nanos, format)| Quantity::from_nanos(nanos).with_format(format))
}

proptest! {
    #[test]
    fn the_canonical_form_reads_back_as_the_same(quantity in quantities()) {
        let shown = quantity.to_string();
        let read: Quantity = shown.parse().unwrap();
        // Kubernetes' cap on binary suffixes is the one place where text and amount differ.
        if shown.ends_with('i') && quantity.nanos().abs() > i128::from(i64::MAX) * NANO {
            prop_assert_eq!(read.value().abs(), i64::MAX);
        } else {
            prop_assert_eq!(read, quantity);
            // A binary amount that no binary suffix fits is shown as a decimal, and read back as one.
            if read.format() == quantity.format() {
                prop_assert_eq!(read.to_string(), shown);
            } else {
                prop_assert_eq!(read.to_string(), quantity.with_format(read.format()).to_string());
            }
        }
    }

    #[test]
    fn sums_and_products_are_those_of_whole_numbers(
        a in any::<i64>(), b in any::<i64>(), factor in any::<i32>(), format in formats(),
    ) {
        let (x, y) = (i128::from(a), i128::from(b));
        let (p, q) = (Quantity::from_nanos(x).with_format(format), Quantity::from_nanos(y));
        prop_assert_eq!((p + q).nanos(), x + y);
        prop_assert_eq!((p - q).nanos(), x - y);
        prop_assert_eq!((p * i64::from(factor)).nanos(), x * i128::from(factor));
        prop_assert_eq!((-p).nanos(), -x);
        prop_assert_eq!(p.cmp(&q), x.cmp(&y));
        prop_assert_eq!(p.value(), (x.abs().div_euclid(NANO) + i128::from(x % NANO != 0)) as i64 * x.signum() as i64);
    }

    #[test]
    fn a_binary_fraction_is_exact(whole in 0u64..1 << 20, fraction in 0u64..1_000_000_000, power in 1u32..=6) {
        let suffix = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power as usize - 1];
        let exact = (i128::from(whole) * NANO + i128::from(fraction)) * 1024_i128.pow(power);
        let read = q(&format!("{whole}.{fraction:09}{suffix}")).nanos();
        prop_assert_eq!(read, exact.min(i128::from(i64::MAX) * NANO));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-+0-9.eEinumkKMGTP]{0,40}|.{0,20}") {
        if let Ok(quantity) = text.parse::<Quantity>() {
            let _ = (quantity.to_string(), quantity.value(), quantity.milli_value());
        }
    }
}
