//! Writes tar archives, also such as no honest program writes.

/// An entry to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: u64,
    pub(crate) device: (u32, u32),
    pub(crate) pax: Vec<(String, Vec<u8>)>,
    /// What the header says in place of the body's size.
    pub(crate) size: Option<u64>,
}

impl Item {
    pub(crate) fn new(kind: u8, path: &str) -> Self {
        Self {
            path: path.into(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            modified: 1_000_000_000,
            ..Self::default()
        }
    }

    pub(crate) fn file(path: &str, body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            ..Self::new(b'0', path)
        }
    }

    pub(crate) fn dir(path: &str) -> Self {
        Self::new(b'5', path)
    }

    pub(crate) fn link(kind: u8, path: &str, to: &str) -> Self {
        Self {
            link: to.into(),
            ..Self::new(kind, path)
        }
    }

    pub(crate) fn device(kind: u8, path: &str, device: (u32, u32)) -> Self {
        Self {
            device,
            ..Self::new(kind, path)
        }
    }

    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = (uid, gid);
        self
    }

    pub(crate) fn pax(mut self, key: &str, value: &[u8]) -> Self {
        self.pax.push((key.into(), value.to_vec()));
        self
    }

    pub(crate) fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    fn write(&self, to: &mut Vec<u8>) {
        let mut pax = self.pax.clone();
        if self.path.len() > 100 {
            pax.push(("path".into(), self.path.clone()));
        }
        if self.link.len() > 100 {
            pax.push(("linkpath".into(), self.link.clone()));
        }
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            let extension = Self {
                body: records,
                ..Self::new(b'x', "pax")
            };
            extension.write(to);
        }
        let mut header = [0; 512];
        let put = |header: &mut [u8; 512], at: usize, most: usize, bytes: &[u8]| {
            let bytes = &bytes[..bytes.len().min(most)];
            header[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(&mut header, 0, 100, &self.path);
        let size = self.size.unwrap_or(self.body.len() as u64);
        for (at, length, value) in [
            (100, 8, self.mode.into()),
            (108, 8, self.owner.0.into()),
            (116, 8, self.owner.1.into()),
            (124, 12, size),
            (136, 12, self.modified),
            (329, 8, self.device.0.into()),
            (337, 8, self.device.1.into()),
        ] {
            let digits = length - 1;
            if value < 1 << (3 * digits) {
                put(&mut header, at, digits, format!("{value:0digits$o}").as_bytes());
            } else {
                let bytes = value.to_be_bytes();
                let most = (length - 1).min(bytes.len());
                header[at] = 0x80;
                put(
                    &mut header,
                    at + length - most,
                    most,
                    &bytes[bytes.len() - most..],
                );
            }
        }
        header[156] = self.kind;
        put(&mut header, 157, 100, &self.link);
        put(&mut header, 257, 8, b"ustar\x0000");
        seal(&mut header);
        to.extend_from_slice(&header);
        to.extend_from_slice(&self.body);
        to.resize(to.len().next_multiple_of(512), 0);
    }
}

/// Sets a header's checksum.
pub(crate) fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut length = rest.len();
    // The length counts its own digits.
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}

/// Entries without an end.
pub(crate) fn open_tar(items: &[Item]) -> Vec<u8> {
    let mut archive = Vec::new();
    for item in items {
        item.write(&mut archive);
    }
    archive
}

/// A whole archive.
pub(crate) fn tar(items: &[Item]) -> Vec<u8> {
    let mut archive = open_tar(items);
    archive.resize(archive.len() + 1024, 0);
    archive
}
