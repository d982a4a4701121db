//! Images from files: `oci-archive` (an OCI image layout in a tar) and what `docker save` writes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::digest::{Digest, DigestingReader};
use super::fault::{Doing, Fault};
use super::limits::{Budget, Form, Guarded, Stop};
use super::manifest::{Descriptor, Document, LARGEST_DOCUMENT, Manifest, Platform, choose, json};
use super::store::{Scratch, Store};
use super::tarball::{Kind, Tarball, broken};
use super::tree::parts;

/// Of the outer archive: a few per layer.
const MOST_ENTRIES: usize = 20_000;

/// A part of the archive's file.
#[derive(Clone, Copy, Debug)]
struct Section {
    offset: u64,
    size: u64,
}

/// An archive whose parts are known.
#[derive(Debug)]
pub(crate) struct Archive {
    file: PathBuf,
    sections: BTreeMap<String, Section>,
    /// Holds the archive where it had to be decompressed.
    _scratch: Option<Scratch>,
}

/// An image found in an archive.
#[derive(Debug)]
pub(crate) struct Found {
    /// As written in the archive.
    pub(crate) names: Vec<String>,
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Option<Vec<u8>>,
    layers: Vec<(Section, Option<Digest>)>,
}

impl Found {
    pub(crate) fn layer_count(&self) -> usize {
        self.layers.len()
    }
}

impl Archive {
    /// Reads what is in the archive, not yet the layers.
    pub(crate) fn open(path: &Path, store: &Arc<Store>, budget: &Budget, stop: &Stop) -> Result<Self, Fault> {
        let mut file = File::open(path).at("opening", path)?;
        let mut begin = Vec::new();
        (&mut file).take(6).read_to_end(&mut begin).at("reading", path)?;
        file.rewind().at("reading", path)?;
        let (path, scratch) = match Form::of(&begin)? {
            Form::Plain => (path.to_owned(), None),
            Form::Gzip | Form::Zstd => {
                let scratch = store.scratch()?;
                let plain = scratch.path.join("archive");
                let mut to = File::create(&plain).at("making", &plain)?;
                let mut from = Guarded::new(file, budget, stop)?;
                std::io::copy(&mut from, &mut to).map_err(broken)?;
                (plain, Some(scratch))
            }
        };
        let mut archive = Self {
            file: path,
            sections: BTreeMap::new(),
            _scratch: scratch,
        };
        archive.scan(stop)?;
        Ok(archive)
    }

    fn scan(&mut self, stop: &Stop) -> Result<(), Fault> {
        let file = File::open(&self.file).at("opening", &self.file)?;
        let mut tarball = Tarball::new(BufReader::with_capacity(1 << 17, file));
        // Older `docker save` writes a layer that several images have once, and links for the others.
        let mut links: Vec<(String, String)> = Vec::new();
        while let Some(entry) = tarball.next_entry()? {
            stop.check()?;
            let path = text(&entry.path)?;
            if self.sections.len() + links.len() >= MOST_ENTRIES {
                return Err(Fault::Refused(format!("it has more than {MOST_ENTRIES} files")));
            }
            match entry.kind {
                Kind::File => {
                    let section = Section {
                        offset: tarball.position(),
                        size: entry.size,
                    };
                    if self.sections.insert(path, section).is_some() {
                        return Err(Fault::entry(&entry.path, "the archive has it twice"));
                    }
                }
                Kind::Symlink => links.push((path.clone(), beside(&path, &entry.link)?)),
                Kind::HardLink => links.push((path, text(&entry.link)?)),
                _ => {}
            }
        }
        for (path, target) in links {
            if let Some(section) = self.sections.get(&target).copied() {
                self.sections.entry(path).or_insert(section);
            }
        }
        Ok(())
    }

    fn section(&self, path: &str) -> Result<Section, Fault> {
        let plain = text(path.as_bytes())?;
        self.sections
            .get(&plain)
            .copied()
            .ok_or_else(|| Fault::entry(path.as_bytes(), "the archive names it and does not have it"))
    }

    fn reader(&self, section: Section) -> Result<impl Read + use<>, Fault> {
        let mut file = File::open(&self.file).at("opening", &self.file)?;
        file.seek(SeekFrom::Start(section.offset))
            .at("reading", &self.file)?;
        Ok(file.take(section.size))
    }

    fn small(&self, path: &str) -> Result<Vec<u8>, Fault> {
        let section = self.section(path)?;
        if section.size > LARGEST_DOCUMENT {
            let why = format!(
                "it has {} bytes; at most {LARGEST_DOCUMENT} are allowed",
                section.size
            );
            return Err(Fault::entry(path.as_bytes(), why));
        }
        let mut bytes = Vec::new();
        self.reader(section)?
            .read_to_end(&mut bytes)
            .at("reading", &self.file)?;
        Ok(bytes)
    }

    fn blob(&self, digest: Digest) -> Result<Vec<u8>, Fault> {
        let path = format!("blobs/sha256/{}", digest.hex());
        let bytes = self.small(&path)?;
        if Digest::of(&bytes) != digest {
            return Err(Fault::entry(
                path.as_bytes(),
                "its contents do not have the digest it is named by",
            ));
        }
        Ok(bytes)
    }

    /// The images in it that are for a platform.
    pub(crate) fn images(&self, platform: &Platform) -> Result<Vec<Found>, Fault> {
        if self.sections.contains_key("index.json") {
            return self.oci_images(platform);
        }
        if self.sections.contains_key("manifest.json") {
            return self.docker_images();
        }
        Err(Fault::refused(
            "it has neither an index.json (oci-archive) nor a manifest.json (docker save)",
        ))
    }

    fn oci_images(&self, platform: &Platform) -> Result<Vec<Found>, Fault> {
        let Document::Index(index) = Document::parse(&self.small("index.json")?)? else {
            return Err(Fault::refused("its index.json is no index"));
        };
        // One image per name; several of one name, or of none, are for different platforms.
        let mut named: BTreeMap<Option<String>, Vec<Descriptor>> = BTreeMap::new();
        for descriptor in index {
            let name = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
                .iter()
                .find_map(|key| descriptor.annotations.get(*key))
                // A mere tag names no image.
                .filter(|name| name.contains(['/', ':', '@']));
            named.entry(name.cloned()).or_default().push(descriptor);
        }
        let mut found = Vec::new();
        for (name, descriptors) in named {
            let (bytes, manifest) = self.manifest(&descriptors, platform)?;
            let layers = manifest.layers.iter().map(|layer| {
                let path = format!("blobs/sha256/{}", layer.digest.hex());
                Ok((self.section(&path)?, Some(layer.digest)))
            });
            found.push(Found {
                names: name.into_iter().collect(),
                config: self.blob(manifest.config.digest)?,
                layers: layers.collect::<Result<_, Fault>>()?,
                manifest: Some(bytes),
            });
        }
        Ok(found)
    }

    fn manifest(&self, index: &[Descriptor], platform: &Platform) -> Result<(Vec<u8>, Manifest), Fault> {
        let mut index = index.to_vec();
        // An index may hold indexes.
        for _ in 0..4 {
            let bytes = self.blob(choose(&index, platform)?.digest)?;
            match Document::parse(&bytes)? {
                Document::Manifest(manifest) => return Ok((bytes, manifest)),
                Document::Index(inner) => index = inner,
            }
        }
        Err(Fault::refused("its indexes lead to indexes without end"))
    }

    fn docker_images(&self) -> Result<Vec<Found>, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Saved {
            config: String,
            repo_tags: Option<Vec<String>>,
            layers: Option<Vec<String>>,
        }
        let saved: Vec<Saved> = json(&self.small("manifest.json")?, "manifest.json")?;
        let found = saved.into_iter().map(|image| {
            let layers = image.layers.unwrap_or_default();
            let layers = layers.iter().map(|path| Ok((self.section(path)?, None)));
            Ok(Found {
                names: image.repo_tags.unwrap_or_default(),
                config: self.small(&image.config)?,
                manifest: None,
                layers: layers.collect::<Result<_, Fault>>()?,
            })
        });
        found.collect()
    }

    /// A layer's archive; its digest is checked once it was read to its end.
    pub(crate) fn layer(&self, image: &Found, index: usize) -> Result<Layer<impl Read + use<>>, Fault> {
        let (section, digest) = image.layers[index];
        Ok(Layer {
            reader: DigestingReader::new(self.reader(section)?),
            digest,
        })
    }
}

/// A layer's archive, being read.
pub(crate) struct Layer<R> {
    pub(crate) reader: DigestingReader<R>,
    digest: Option<Digest>,
}

impl<R: Read> Layer<R> {
    pub(crate) fn check(self) -> Result<(), Fault> {
        let actual = self.reader.finish().map_err(broken)?;
        match self.digest {
            Some(digest) if digest != actual => Err(Fault::Refused(format!(
                "its manifest promises the blob {digest}, and the blob is {actual}"
            ))),
            _ => Ok(()),
        }
    }
}

/// A path in the archive, in one form.
fn text(path: &[u8]) -> Result<String, Fault> {
    let parts = parts(path).map_err(|why| Fault::entry(path, why))?;
    String::from_utf8(parts.join(&b'/')).map_err(|_| Fault::entry(path, "its path is not UTF-8"))
}

/// Where a symlink at `path` leads, as text.
fn beside(path: &str, link: &[u8]) -> Result<String, Fault> {
    let link = std::str::from_utf8(link).map_err(|_| Fault::entry(link, "its path is not UTF-8"))?;
    let mut at: Vec<&str> = path.split('/').collect();
    at.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                at.pop()
                    .ok_or_else(|| Fault::entry(path.as_bytes(), "its link leaves the archive"))?;
            }
            part => at.push(part),
        }
    }
    Ok(at.join("/"))
}
