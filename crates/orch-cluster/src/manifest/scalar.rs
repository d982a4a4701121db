//! What a scalar in YAML means, by the rules of kubectl's reader.
//!
//! kubectl reads YAML through sigs.k8s.io/yaml, which resolves plain scalars by YAML 1.1 as go-yaml v2 does:
//! `yes`, `on` and `y` are true, `0644` is octal, `1_000` is a thousand. What Kubernetes users write relies on
//! it, so the same holds here, although the grammar around the scalars is that of YAML 1.2. Dates stay
//! strings, and there are no numbers to the base 60, as in go-yaml.

use serde_json::{Number, Value};

/// The value of a plain (unquoted) scalar.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return Err(format!("{text}: JSON has no such number")),
        _ if text.starts_with(['+', '-', '.']) || text.starts_with(|c: char| c.is_ascii_digit()) => {
            number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
        }
        _ => Value::String(text.to_owned()),
    })
}

/// The value of a scalar under one of YAML's own tags, `!!int` and so on, quoted or not.
pub(super) fn tagged(tag: &str, text: &str) -> Result<Value, String> {
    if matches!(tag, "str" | "timestamp") {
        return Ok(Value::String(text.to_owned()));
    }
    if !matches!(tag, "int" | "float" | "bool" | "null") {
        return Err(format!(
            "tag !!{tag} is not supported; allowed on a scalar are !!str, !!int, !!float, !!bool, !!null"
        ));
    }
    let value = plain(text)?;
    let fits = match &value {
        Value::Null => tag == "null",
        Value::Bool(_) => tag == "bool",
        Value::Number(number) => tag == "float" || (tag == "int" && !number.is_f64()),
        _ => false,
    };
    if fits {
        Ok(value)
    } else {
        Err(format!("{text:?} is no !!{tag}"))
    }
}

/// The string that a number becomes as a key of a map: an integer in decimal, a float as Go writes its nearest `float32`.
/// Those beyond Go's `int64` become none, as in kubectl.
pub(super) fn number_key(text: &str) -> Option<String> {
    let digits = text.replace('_', "");
    if let Some(integer) = integer(&digits) {
        return integer.as_i64().map(|integer| integer.to_string());
    }
    let float = digits.parse::<f64>().ok()? as f32;
    if float.is_infinite() {
        return Some(if float > 0.0 { ".inf" } else { "-.inf" }.to_owned());
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    // Go's format `g`.
    Some(if (-4..6).contains(&exponent) {
        float.to_string()
    } else {
        format!(
            "{mantissa}e{}{:02}",
            if exponent < 0 { '-' } else { '+' },
            exponent.abs()
        )
    })
}

fn number(text: &str) -> Option<Number> {
    let digits = text.replace('_', "");
    if let Some(integer) = integer(&digits) {
        return Some(integer);
    }
    if !is_float(&digits) {
        return None;
    }
    let float: f64 = digits.parse().ok()?;
    // Go's JSON writes a whole float without a fraction, so `2.0` does for an integer.
    if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 {
        return Some(Number::from(float as i64));
    }
    Number::from_f64(float)
}

/// As Go's `ParseInt` with base 0: 0x, 0o or 0, 0b, else decimal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = if let Some(hex) = lower.strip_prefix("0x") {
        (hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (binary, 2)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (octal, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_mean_what_kubectl_takes_them_for() {
        let cases = [
            ("", json!(null)),
            ("~", json!(null)),
            ("yes", json!(true)),
            ("on", json!(true)),
            ("y", json!(true)),
            ("Off", json!(false)),
            ("yEs", json!("yEs")),
            ("5", json!(5)),
            ("+5", json!(5)),
            ("-5", json!(-5)),
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("-0b101", json!(-5)),
            ("08", json!(8)),
            ("1_000", json!(1000)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551616", json!(18446744073709551616.0)),
            ("1.5", json!(1.5)),
            ("2.0", json!(2)),
            ("1e3", json!(1000)),
            (".5", json!(0.5)),
            ("5.", json!(5)),
            ("1.2.3", json!("1.2.3")),
            ("-", json!("-")),
            (".", json!(".")),
            ("0x", json!("0x")),
            ("--5", json!("--5")),
            ("0-5", json!("0-5")),
            ("500m", json!("500m")),
            ("1Gi", json!("1Gi")),
            ("2001-01-01", json!("2001-01-01")),
            ("12:30", json!("12:30")),
            ("1e", json!("1e")),
            ("é", json!("é")),
        ];
        for (text, value) in cases {
            assert_eq!(plain(text), Ok(value), "{text:?}");
        }
        assert!(plain(".inf").is_err() && plain(".nan").is_err());
    }

    #[test]
    fn a_tag_decides_and_refuses_what_does_not_fit() {
        assert_eq!(tagged("str", "5"), Ok(json!("5")));
        assert_eq!(tagged("int", "5"), Ok(json!(5)));
        assert_eq!(tagged("float", "5"), Ok(json!(5)));
        assert_eq!(tagged("int", "x"), Err("\"x\" is no !!int".to_owned()));
        assert!(
            tagged("binary", "eA==")
                .unwrap_err()
                .contains("allowed on a scalar")
        );
    }
}
