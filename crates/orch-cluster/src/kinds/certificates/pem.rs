//! PEM, and the outline of what stands in it: certificates, and requests for them.

use k8s_openapi::ByteString;
use serde_json::Value;

/// The tags of ASN.1 that certificates and requests are made of.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// What is signed, by which algorithm, and the signature: a certificate, and a request too.
const SIGNED: [u8; 3] = [SEQUENCE, SEQUENCE, BIT_STRING];
/// The version of a request, for whom it is, and the key; attributes may follow.
const REQUESTED: [u8; 3] = [INTEGER, SEQUENCE, SEQUENCE];

/// Says what keeps PEM text from being a request for a certificate.
pub(super) fn check_request(pem: &[u8]) -> Result<(), String> {
    let first = blocks(pem).into_iter().next();
    let Some(block) = first.filter(|block| block.label == "CERTIFICATE REQUEST") else {
        return Err("PEM block type must be CERTIFICATE REQUEST".to_owned());
    };
    let is_request = signed(&block.der)
        .and_then(values)
        .is_some_and(|parts| begins_with(&parts, &REQUESTED));
    match is_request {
        true => Ok(()),
        false => Err("must be a certification request of PKCS #10 in DER".to_owned()),
    }
}

/// Says what keeps PEM text from being certificates, one at least.
pub(in crate::kinds) fn check_certificates(pem: &[u8]) -> Result<(), String> {
    let blocks = blocks(pem);
    for Block {
        label,
        has_headers,
        der,
    } in &blocks
    {
        if label != "CERTIFICATE" {
            return Err(format!(
                "only CERTIFICATE PEM blocks are allowed, found {label:?}"
            ));
        }
        if *has_headers {
            return Err("no PEM block headers are permitted".to_owned());
        }
        if signed(der).is_none() {
            return Err("x509: malformed certificate".to_owned());
        }
    }
    match blocks.is_empty() {
        true => Err("must contain at least one CERTIFICATE PEM block".to_owned()),
        false => Ok(()),
    }
}

struct Block {
    label: String,
    has_headers: bool,
    der: Vec<u8>,
}

/// The blocks of a text; what is around them, and what is not base64 between its lines, is none.
fn blocks(pem: &[u8]) -> Vec<Block> {
    let text = String::from_utf8_lossy(pem);
    let mut lines = text.lines().map(str::trim_end);
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let begun = line.strip_prefix("-----BEGIN ");
        let Some(label) = begun.and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let (mut body, mut has_headers, mut is_whole) = (String::new(), false, false);
        for line in lines.by_ref() {
            if line == end {
                is_whole = true;
                break;
            }
            match line.contains(':') {
                true => has_headers = true,
                false => body.push_str(line.trim()),
            }
        }
        let der = serde_json::from_value::<ByteString>(Value::String(body));
        if let (true, Ok(ByteString(der))) = (is_whole, der) {
            blocks.push(Block {
                label: label.to_owned(),
                has_headers,
                der,
            });
        }
    }
    blocks
}

/// What is signed of something signed, if it is one and nothing follows it.
fn signed(der: &[u8]) -> Option<&[u8]> {
    let [(SEQUENCE, whole)] = values(der)?[..] else {
        return None;
    };
    let parts = values(whole)?;
    match &parts[..] {
        [(_, signed), ..] if parts.len() == SIGNED.len() && begins_with(&parts, &SIGNED) => Some(signed),
        _ => None,
    }
}

fn begins_with(values: &[(u8, &[u8])], tags: &[u8]) -> bool {
    let given = values.iter().map(|(tag, _)| tag);
    values.len() >= tags.len() && given.zip(tags).all(|(given, tag)| given == tag)
}

/// The values that stand one after the other, by their tags; none if the bytes are anything else.
fn values(mut der: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut values = Vec::new();
    while let [tag, length, rest @ ..] = der {
        // Below 128 it is the length, from there the number of bytes that are.
        let (length, rest) = match usize::from(*length) {
            short @ 0..0x80 => (short, rest),
            long => {
                let (digits, rest) = rest
                    .split_at_checked(long - 0x80)
                    .filter(|(digits, _)| digits.len() <= 4)?;
                let length = digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit));
                (length, rest)
            }
        };
        let (value, rest) = rest.split_at_checked(length)?;
        values.push((*tag, value));
        der = rest;
    }
    der.is_empty().then_some(values)
}
