//! Formats of strings and numbers: those that Kubernetes looks at (apiextensions' `formats.go`, kube-openapi's `strfmt`).
//! Any other is as if it were not there.

mod digits;
mod net;
mod time;

use orch_core::object::names::{dns_label, dns_subdomain};

use super::node::Type;

macro_rules! formats {
    ($($variant:ident = $word:literal => $check:expr),+ $(,)?) => {
        /// A format that values are looked at by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Format {
            Int32,
            Int64,
            Float,
            Double,
            $($variant),+
        }

        impl Format {
            /// The format that a schema of a string names; dashes in it do not count.
            fn of_string(word: &str) -> Option<Self> {
                let plain = word.replace('-', "");
                match () {
                    $(() if plain == $word.replace('-', "") => Some(Self::$variant),)+
                    () => None,
                }
            }

            pub(crate) fn word(self) -> &'static str {
                match self {
                    Self::Int32 => "int32",
                    Self::Int64 => "int64",
                    Self::Float => "float",
                    Self::Double => "double",
                    $(Self::$variant => $word),+
                }
            }

            /// Whether a string has the format.
            pub(crate) fn is_match(self, text: &str) -> bool {
                match self {
                    Self::Int32 | Self::Int64 | Self::Float | Self::Double => true,
                    $(Self::$variant => ($check)(text)),+
                }
            }
        }
    };
}

formats! {
    BsonObjectId = "bsonobjectid" => |text: &str| text.len() == 24 && is_hex(text),
    Byte = "byte" => is_base64,
    Cidr = "cidr" => net::is_cidr,
    CreditCard = "creditcard" => digits::is_credit_card,
    Date = "date" => time::is_date,
    DateTime = "date-time" => time::is_date_time,
    Duration = "duration" => time::is_duration,
    Email = "email" => net::is_email,
    HexColor = "hexcolor" => is_hex_color,
    Hostname = "hostname" => net::is_hostname,
    Ipv4 = "ipv4" => net::is_ipv4,
    Ipv6 = "ipv6" => net::is_ipv6,
    Isbn = "isbn" => |text| digits::is_isbn10(text) || digits::is_isbn13(text),
    Isbn10 = "isbn10" => digits::is_isbn10,
    Isbn13 = "isbn13" => digits::is_isbn13,
    LongName = "k8s-long-name" => |text| dns_subdomain(text).is_empty(),
    Mac = "mac" => net::is_mac,
    Password = "password" => |_| true,
    RgbColor = "rgbcolor" => is_rgb_color,
    ShortName = "k8s-short-name" => |text| dns_label(text).is_empty(),
    Ssn = "ssn" => digits::is_ssn,
    Uri = "uri" => net::is_uri,
    Uuid = "uuid" => |text| is_uuid(text, None, false),
    Uuid3 = "uuid3" => |text| is_uuid(text, Some(b'3'), false),
    Uuid4 = "uuid4" => |text| is_uuid(text, Some(b'4'), true),
    Uuid5 = "uuid5" => |text| is_uuid(text, Some(b'5'), true),
}

impl Format {
    /// The format that a schema of values of these types names.
    pub(crate) fn of(word: &str, types: &[Type]) -> Option<Self> {
        match (types, word) {
            ([Type::Integer], "int32") => Some(Self::Int32),
            ([Type::Integer], "int64") => Some(Self::Int64),
            ([Type::Number], "float") => Some(Self::Float),
            ([Type::Number], "double") => Some(Self::Double),
            ([] | [Type::String] | [_, _], word) => Self::of_string(word),
            _ => None,
        }
    }

    pub(crate) fn is_of_strings(self) -> bool {
        !matches!(self, Self::Int32 | Self::Int64 | Self::Float | Self::Double)
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Groups of four characters, the last one filled up with `=`.
fn is_base64(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    let is_data = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    !data.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - data.len() <= 2
        && data.bytes().all(is_data)
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && is_hex(digits)
}

fn is_rgb_color(text: &str) -> bool {
    let inside = text.strip_prefix("rgb(").and_then(|text| text.strip_suffix(')'));
    inside.is_some_and(|inside| {
        let parts: Vec<&str> = inside.split(',').collect();
        parts.len() == 3
            && parts.iter().all(|part| {
                let part = part.trim_matches([' ', '\t', '\n', '\r', '\x0c']);
                let is_plain = part == "0" || !part.starts_with('0');
                is_plain && are_digits(part) && part.parse::<u8>().is_ok()
            })
    })
}

/// A UUID, with or without each of its dashes, of a version and with or without the variant of RFC 4122.
fn is_uuid(text: &str, version: Option<u8>, has_variant: bool) -> bool {
    let mut digits = Vec::with_capacity(32);
    for byte in text.bytes() {
        let may_be_dash = matches!(digits.len(), 8 | 12 | 16 | 20);
        match byte {
            _ if byte.is_ascii_hexdigit() => digits.push(byte.to_ascii_lowercase()),
            b'-' if may_be_dash => {}
            _ => return false,
        }
    }
    let dashes_are_single = !text.contains("--");
    dashes_are_single
        && digits.len() == 32
        && version.is_none_or(|version| digits[12] == version)
        && (!has_variant || b"89ab".contains(&digits[16]))
}
