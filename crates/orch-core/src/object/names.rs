//! Which names are valid, with Kubernetes' own words for what is wrong with the others.
//!
//! Each check returns what is wrong, one sentence per fault, nothing for a valid value; callers put the
//! sentences into a [`FieldError::invalid`](super::FieldError::invalid).

/// The longest DNS label, in bytes (RFC 1123).
pub const LABEL_MAX: usize = 63;

/// The longest DNS subdomain, in bytes (RFC 1123).
pub const SUBDOMAIN_MAX: usize = 253;

const QUALIFIED_FMT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

/// What is wrong with `value` as a lowercase RFC 1123 label: the form of namespace names and container names.
///
/// ```
/// use orch_core::object::names::dns_label;
///
/// assert!(dns_label("my-name").is_empty());
/// assert_eq!(dns_label("my.name"), ["must not contain dots"]);
/// ```
pub fn dns_label(value: &str) -> Vec<String> {
    let mut faults = longer_than(value, LABEL_MAX);
    if !is_label(value) {
        faults.push(if is_subdomain(value) {
            "must not contain dots".to_owned()
        } else {
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
             start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
             validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                .to_owned()
        });
    }
    faults
}

/// What is wrong with `value` as a lowercase RFC 1123 subdomain: labels joined by dots, the form of most
/// objects' names.
pub fn dns_subdomain(value: &str) -> Vec<String> {
    let mut faults = longer_than(value, SUBDOMAIN_MAX);
    if !is_subdomain(value) {
        faults.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation \
             is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    faults
}

/// What is wrong with `value` as a DNS-1035 label, which begins with a letter: the form of service names.
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut faults = longer_than(value, LABEL_MAX);
    if !is_label(value) || value.starts_with(|c: char| c.is_ascii_digit()) {
        faults.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
             alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex \
             used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    faults
}

/// What is wrong with `value` as a qualified name, `name` or `subdomain/name`: the form of label and annotation
/// keys, resource names and finalizers.
///
/// ```
/// use orch_core::object::names::qualified_name;
///
/// assert!(qualified_name("example.com/My_Name").is_empty());
/// assert_eq!(qualified_name("/x"), ["prefix part must be non-empty"]);
/// ```
pub fn qualified_name(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, name)) if name.contains('/') => {
            faults.push(format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                qualified_rule()
            ));
            return faults;
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else {
                faults.extend(
                    dns_subdomain(prefix)
                        .into_iter()
                        .map(|fault| format!("prefix part {fault}")),
                );
            }
            name
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    }
    faults.extend(
        longer_than(name, LABEL_MAX)
            .into_iter()
            .map(|fault| format!("name part {fault}")),
    );
    if !is_qualified(name) {
        faults.push(format!("name part {}", qualified_rule()));
    }
    faults
}

/// What is wrong with `value` as a label's value, which may be empty.
pub fn label_value(value: &str) -> Vec<String> {
    let mut faults = longer_than(value, LABEL_MAX);
    if !value.is_empty() && !is_qualified(value) {
        faults.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
             must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
             regex used for validation is '({QUALIFIED_FMT})?')"
        ));
    }
    faults
}

/// What is wrong with `value` as a key of a ConfigMap or Secret.
pub fn config_key(value: &str) -> Vec<String> {
    let mut faults = longer_than(value, SUBDOMAIN_MAX);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if value.is_empty() || !value.bytes().all(allowed) {
        faults.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match value {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        _ if value.starts_with("..") => faults.push("must not start with '..'".to_owned()),
        _ => {}
    }
    faults
}

/// What is wrong with `value` as the name of an environment variable: any printable ASCII but `=`
/// (KEP-4369, the rule since Kubernetes 1.34).
pub fn env_var_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

/// What is wrong with `value` as the name of a port (RFC 6335's service names).
pub fn port_name(value: &str) -> Vec<String> {
    let mut faults = longer_than(value, 15);
    let mut wrong = |is_wrong: bool, rule: &str| {
        if is_wrong {
            faults.push(rule.to_owned());
        }
    };
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    wrong(
        value.is_empty() || !value.bytes().all(allowed),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    wrong(
        !value.bytes().any(|b| b.is_ascii_lowercase()),
        "must contain at least one letter (a-z)",
    );
    wrong(value.contains("--"), "must not contain consecutive hyphens");
    wrong(
        value.starts_with('-') || value.ends_with('-'),
        "must not begin or end with a hyphen",
    );
    faults
}

/// What is wrong with `value` as one segment of a URL path, which every object's name must be whatever its kind asks
/// (apimachinery's `path.ValidatePathSegmentName`, and, so that a key can hold it, no longer than a subdomain).
pub fn path_segment(value: &str) -> Vec<String> {
    if let "." | ".." = value {
        return vec![format!("may not be '{value}'")];
    }
    let illegal = ["/", "%"].into_iter().filter(|illegal| value.contains(illegal));
    let mut faults: Vec<_> = illegal
        .map(|illegal| format!("may not contain '{illegal}'"))
        .collect();
    faults.extend(longer_than(value, SUBDOMAIN_MAX));
    faults
}

fn longer_than(value: &str, limit: usize) -> Vec<String> {
    if value.len() > limit {
        vec![format!("must be no more than {limit} bytes")]
    } else {
        Vec::new()
    }
}

/// Lower case letters, digits and hyphens, no hyphen at either end, of any length but 0.
fn is_label(value: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = value.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
}

fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

/// Letters, digits, `-`, `_` and `.`, a letter or digit at either end, of any length but 0.
fn is_qualified(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn qualified_rule() -> String {
    format!(
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
         character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED_FMT}')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Vec<String>;

    fn assert_verdicts(check: Check, valid: &[&str], wrong: &[(&str, &str)]) {
        for value in valid {
            assert_eq!(check(value), [""; 0], "{value:?} is valid");
        }
        for (value, part) in wrong {
            let faults = check(value);
            assert!(
                faults.iter().any(|fault| fault.contains(part)),
                "{value:?}: {faults:?}"
            );
        }
    }

    #[test]
    fn labels_are_lower_case_without_dots() {
        let long = "a".repeat(64);
        assert_verdicts(
            dns_label,
            &["a", "0", "my-name", "123-abc", &long[1..]],
            &[
                ("", "a lowercase RFC 1123 label must"),
                ("My", "a lowercase RFC 1123 label must"),
                ("-a", "a lowercase RFC 1123 label must"),
                ("a-", "a lowercase RFC 1123 label must"),
                ("a_b", "a lowercase RFC 1123 label must"),
                ("é", "a lowercase RFC 1123 label must"),
                ("a.b", "must not contain dots"),
                (&long, "must be no more than 63 bytes"),
            ],
        );
        assert_verdicts(
            dns1035_label,
            &["a", "abc-123"],
            &[("1a", "DNS-1035"), ("", "DNS-1035")],
        );
    }

    #[test]
    fn subdomains_are_labels_joined_by_dots() {
        let long = "a.".repeat(126) + "aa";
        assert_eq!(long.len(), 254);
        assert_verdicts(
            dns_subdomain,
            &["a", "a.b", "example.com", &long[1..].replace(".", "x")],
            &[
                ("", "RFC 1123 subdomain"),
                ("a..b", "RFC 1123 subdomain"),
                (".a", "RFC 1123 subdomain"),
                ("a.", "RFC 1123 subdomain"),
                ("a.-b", "RFC 1123 subdomain"),
                (&long, "must be no more than 253 bytes"),
            ],
        );
    }

    #[test]
    fn qualified_names_have_at_most_one_prefix() {
        let long = "a".repeat(64);
        assert_verdicts(
            qualified_name,
            &[
                "simple",
                "now-with-dashes",
                "1.2.3.4/5678",
                "Uppercase_is.OK",
                "example.com/N",
            ],
            &[
                ("", "name part must be non-empty"),
                ("a/", "name part must be non-empty"),
                ("/a", "prefix part must be non-empty"),
                ("a/b/c", "a qualified name must consist"),
                ("Example.com/a", "prefix part a lowercase RFC 1123 subdomain"),
                ("a b", "name part must consist of"),
                ("-a", "name part must consist of"),
                (&long, "name part must be no more than 63 bytes"),
            ],
        );
    }

    #[test]
    fn other_values_follow_their_own_rules() {
        assert_verdicts(
            label_value,
            &["", "MyValue", "my_value", "12345"],
            &[
                ("a b", "a valid label must"),
                ("_a", "a valid label must"),
                (&"a".repeat(64), "63"),
            ],
        );
        assert_verdicts(
            config_key,
            &["a", ".hidden", "KEY_NAME", "key.name"],
            &[
                ("", "config key"),
                ("a/b", "config key"),
                (".", "must not be '.'"),
                ("..", "'..'"),
                ("..x", "start with"),
            ],
        );
        assert_verdicts(
            env_var_name,
            &["PATH", "my.env-name", "1st", "a b"],
            &[
                ("", "non-empty"),
                ("a=b", "printable"),
                ("é", "printable"),
                ("a\n", "printable"),
            ],
        );
        assert_verdicts(
            port_name,
            &["http", "a-1"],
            &[
                ("", "letter"),
                ("HTTP", "alpha-numeric"),
                ("80", "letter"),
                ("a--b", "consecutive"),
                ("-a", "begin or end"),
                (&"a".repeat(16), "15"),
            ],
        );
        assert_verdicts(
            path_segment,
            &["", "a.b", "system:node"],
            &[
                (".", "may not be '.'"),
                ("..", "may not be '..'"),
                ("a/b", "'/'"),
                ("a%b", "'%'"),
                (&"a".repeat(254), "253"),
            ],
        );
    }
}
