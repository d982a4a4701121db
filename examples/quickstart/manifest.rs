//! Where the manifest comes from.

use std::io::Read;
use std::path::{Path, PathBuf};

use orch_cluster::manifest::{Limits, Manifest, ManifestKinds};

use super::Error;
use super::image::{Image, images_of};

/// In place of a file's name: standard input.
const STDIN: &str = "-";

/// A file of the user's, or the manifest that ships with this, which differs by runtime.
pub(crate) enum Source {
    File(PathBuf, String),
    Shipped { program: String, ports: PathBuf },
}

impl Source {
    pub(crate) fn new(path: Option<PathBuf>) -> Result<Self, Error> {
        match path {
            Some(path) if path == Path::new(STDIN) => {
                let path = PathBuf::from("stdin");
                let text = text(&path, std::io::stdin().lock())?;
                Ok(Self::File(path, text))
            }
            Some(path) => {
                let file =
                    std::fs::File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                let text = text(&path, file)?;
                Ok(Self::File(path, text))
            }
            None => Ok(Self::Shipped {
                program: std::env::current_exe()?.display().to_string(),
                ports: PathBuf::new(),
            }),
        }
    }

    /// Where the servers of the shipped manifest leave their ports.
    pub(crate) fn put_ports_in(&mut self, directory: PathBuf) {
        if let Self::Shipped { ports, .. } = self {
            *ports = directory;
        }
    }

    /// The manifest for a runtime of this name.
    pub(crate) fn read(&self, runtime: &str) -> Result<Manifest, Error> {
        let kinds = ManifestKinds::builtin();
        let manifest = match self {
            Self::File(path, text) => Manifest::read(&path.display().to_string(), text, &kinds),
            Self::Shipped { .. } if runtime == "docker" => {
                Manifest::read("web.yaml", include_str!("web.yaml"), &kinds)
            }
            Self::Shipped { program, ports } => {
                let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
                let text = include_str!("web-host.yaml").replace("\"QUICKSTART\"", &quoted(program));
                let text = text.replace("\"PORTS\"", &quoted(&ports.display().to_string()));
                Manifest::read("web-host.yaml", &text, &kinds)
            }
        };
        let manifest = manifest?;
        match self {
            Self::File(path, _) if manifest.items.is_empty() => {
                Err(format!("{}: holds no objects", path.display()).into())
            }
            _ => Ok(manifest),
        }
    }

    /// The name of the user's file, unless it is the manifest that ships with this.
    pub(crate) fn file(&self) -> Option<String> {
        match self {
            Self::File(path, _) => Some(path.display().to_string()),
            Self::Shipped { .. } => None,
        }
    }

    /// The images that the manifest for a runtime of this name names, in the order of the file.
    pub(crate) fn images(&self, runtime: &str) -> Result<Vec<Image>, Error> {
        let manifest = self.read(runtime)?;
        Ok(manifest.items.iter().flat_map(images_of).collect())
    }
}

/// All of a file, unless it is longer than a manifest may be.
fn text(path: &Path, file: impl Read) -> Result<String, Error> {
    let most = Limits::default().bytes;
    let mut text = Vec::new();
    let read = file.take(most as u64 + 1).read_to_end(&mut text);
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    if text.len() > most {
        let most = most >> 20;
        return Err(format!(
            "{}: more than {most} MiB, which is the most that is read",
            path.display()
        )
        .into());
    }
    String::from_utf8(text).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}: must be UTF-8, and is not", path.display()).into()
    })
}
