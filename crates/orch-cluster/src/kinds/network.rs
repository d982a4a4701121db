//! Checks of addresses, ranges of them and names of hosts, as apimachinery's `util/validation` words them.

use std::net::IpAddr;

use orch_core::object::names;
use orch_core::object::{FieldError, FieldErrors, FieldPath};

use super::check;

/// An address in its shortest form, so that it can be compared as text.
pub(super) fn canonical_address(errors: &mut FieldErrors, at: &FieldPath, text: &str) {
    let before = errors.len();
    check::ip_address(errors, at, text);
    let Ok(address) = text.parse::<IpAddr>() else {
        return;
    };
    if is_mapped(address) {
        let detail = "must not be an IPv4-mapped IPv6 address";
        errors.push(FieldError::invalid(at, text, detail));
    }
    if errors.len() == before {
        canonical(errors, at, text, &address.to_string());
    }
}

/// A range of addresses: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The bits, those of a shorter address first.
    bits: u128,
    prefix: u32,
    pub(super) is_ipv4: bool,
}

impl Range {
    /// The range that the text names; says what is wrong with it.
    pub(super) fn parse(errors: &mut FieldErrors, at: &FieldPath, text: &str) -> Option<Self> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let address = address.parse::<IpAddr>().ok()?;
            // Digits alone: the number's own reader also takes a sign.
            let prefix = prefix
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then_some(prefix)?;
            let range = Self {
                bits: bits(address),
                prefix: prefix.parse().ok()?,
                is_ipv4: address.is_ipv4(),
            };
            (range.prefix <= range.width()).then_some((range, address))
        });
        let Some((range, address)) = parsed else {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.push(FieldError::invalid(at, text, detail));
            return None;
        };
        if is_mapped(address) {
            let detail = "must not have an IPv4-mapped IPv6 address";
            errors.push(FieldError::invalid(at, text, detail));
        }
        Some(range)
    }

    /// A range in its shortest form, of whole networks.
    pub(super) fn parse_canonical(errors: &mut FieldErrors, at: &FieldPath, text: &str) -> Option<Self> {
        let before = errors.len();
        let range = Self::parse(errors, at, text)?;
        if range.bits & !range.mask() != 0 {
            let detail = "must not have bits set beyond the prefix length";
            errors.push(FieldError::invalid(at, text, detail));
        }
        if errors.len() == before
            && let Some((address, _)) = text.split_once('/')
            && let Ok(address) = address.parse::<IpAddr>()
        {
            canonical(errors, at, text, &format!("{address}/{}", range.prefix));
        }
        Some(range)
    }

    /// Whether all of another range, and less than all of this one, is that other.
    pub(super) fn is_wider_than(self, other: Self) -> bool {
        let shares = (self.bits ^ other.bits) & self.mask() == 0;
        self.is_ipv4 == other.is_ipv4 && shares && self.prefix < other.prefix
    }

    fn width(self) -> u32 {
        if self.is_ipv4 { 32 } else { 128 }
    }

    fn mask(self) -> u128 {
        u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

fn canonical(errors: &mut FieldErrors, at: &FieldPath, text: &str, canonical: &str) {
    if text != canonical {
        let detail = format!("must be in canonical form ({canonical:?})");
        errors.push(FieldError::invalid(at, text, detail));
    }
}

/// The name of a host, in which `*.` may stand for one label where it begins.
pub(super) fn host(errors: &mut FieldErrors, at: &FieldPath, host: &str) {
    if !host.contains('*') {
        check::format(errors, at, host, names::dns_subdomain(host));
        return;
    }
    let rest = host.strip_prefix("*.");
    if !rest.is_some_and(|rest| names::dns_subdomain(rest).is_empty()) {
        let allowed = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower \
             case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for \
             validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
        errors.push(FieldError::invalid(at, host, allowed));
    }
}

/// A name that says where it ends: two labels or more, and a dot behind them or none.
pub(super) fn full_name(errors: &mut FieldErrors, at: &FieldPath, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(at, ""));
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let wrong = names::dns_subdomain(name);
    if !wrong.is_empty() {
        errors.push(FieldError::invalid(at, name, wrong.join(",")));
    } else if !name.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(at, name, detail));
    } else if let Some((label, wrong)) = name
        .split('.')
        .map(|label| (label, names::dns_label(label)))
        .find(|(_, wrong)| !wrong.is_empty())
    {
        errors.push(FieldError::invalid(at, label, wrong.join(",")));
    }
}
