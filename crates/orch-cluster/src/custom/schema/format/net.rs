//! Formats of addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

use super::{are_digits, is_hex};

/// An IPv4 address, also with zeros before its numbers, or as the end of an IPv6 address.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.contains('.') && (ipv4(text).is_some() || text.parse::<Ipv6Addr>().is_ok())
}

fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts = text.split('.').map(|part| {
        let part = Some(part).filter(|part| are_digits(part))?;
        part.parse::<u8>().ok()
    });
    let parts: Option<Vec<u8>> = parts.collect();
    let parts: [u8; 4] = parts?.try_into().ok()?;
    Some(parts.into())
}

pub(super) fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

pub(super) fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        let longest = match (ipv4(address), address.parse::<Ipv6Addr>()) {
            (Some(_), _) => 32,
            (_, Ok(_)) => 128,
            _ => return false,
        };
        are_digits(length) && length.parse::<u32>().is_ok_and(|length| length <= longest)
    })
}

/// 6, 8 or 20 bytes: in twos with colons or dashes between, or in fours with dots.
pub(super) fn is_mac(text: &str) -> bool {
    let is_of = |separator: char, digits: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        let bytes = parts.len() * digits / 2;
        let is_part = |part: &&str| part.len() == digits && is_hex(part);
        matches!(bytes, 6 | 8 | 20) && parts.iter().all(is_part)
    };
    is_of(':', 2) || is_of('-', 2) || is_of('.', 4)
}

/// A name by RFC 1034, in which segments may begin with a digit and contain letters and symbols of any script.
pub(super) fn is_hostname(text: &str) -> bool {
    static HOSTNAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let pattern = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$";
        Regex::new(pattern).ok()
    });
    let is_short = text.len() <= 255 && text.split('.').all(|part| part.len() <= 63);
    is_short && HOSTNAME.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// An address by RFC 5322, alone or after a name (`Bob <bob@example.com>`), without comments.
pub(super) fn is_email(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, address)) => is_display_name(name.trim_matches([' ', '\t'])) && is_address(address),
        None => is_address(text),
    }
}

fn is_display_name(name: &str) -> bool {
    is_quoted(name) || name.chars().all(|c| is_atom(c) || matches!(c, ' ' | '\t' | '.'))
}

fn is_address(address: &str) -> bool {
    address.rsplit_once('@').is_some_and(|(local, domain)| {
        let literal = domain
            .strip_prefix('[')
            .and_then(|domain| domain.strip_suffix(']'));
        let is_domain = match literal {
            Some(literal) => literal.parse::<Ipv4Addr>().is_ok() || literal.starts_with("IPv6:"),
            None => are_atoms(domain),
        };
        is_domain && (are_atoms(local) || is_quoted(local))
    })
}

fn are_atoms(text: &str) -> bool {
    text.split('.')
        .all(|atom| !atom.is_empty() && atom.chars().all(is_atom))
}

fn is_atom(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}

fn is_quoted(text: &str) -> bool {
    let inside = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inside.is_some_and(|inside| {
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            let is_whole = c != '\\' || chars.next().is_some();
            if c == '"' || c.is_ascii_control() || !is_whole {
                return false;
            }
        }
        true
    })
}

/// What Go's `url.ParseRequestURI` takes: a URI with a scheme, or a path from the root.
pub(super) fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_control()) {
        return false;
    }
    let scheme = text.split_once(':').filter(|(scheme, _)| {
        let mut bytes = scheme.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    let rest = scheme.map_or(text, |(_, rest)| rest);
    let before_query = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !before_query.starts_with('/') {
        // Such as `mailto:`; what has no scheme must be a path.
        return text == "*" || scheme.is_some();
    }
    let after = before_query.strip_prefix("//").filter(|_| scheme.is_some());
    let (authority, path) = match after {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", before_query),
    };
    is_authority(authority) && is_escaped(path)
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let is_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    let port = match host.strip_prefix('[') {
        Some(inside) => match inside.split_once(']') {
            Some((_, port)) => port,
            None => return false,
        },
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.is_empty() || are_digits(port));
    let is_host = !host.contains([' ', '\\', '^', '`', '{', '|', '}']);
    user.chars().all(is_user) && is_escaped(user) && is_port && is_host && is_escaped(host)
}

/// Whether two hexadecimal digits follow each `%`.
fn is_escaped(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| part.get(..2).is_some_and(is_hex))
}
