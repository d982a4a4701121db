//! Reads and checks `#[object(...)]`.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Ident, LitStr, Path, Token};

/// What `#[object(...)]` says, with the defaults filled in.
#[derive(Debug)]
pub(crate) struct Attributes {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    pub(crate) krate: Path,
}

const KEYS: &str = "group, version, kind, plural, scope, crate";

/// The values given, each once.
#[derive(Default)]
struct Given {
    group: Option<LitStr>,
    version: Option<LitStr>,
    kind: Option<LitStr>,
    plural: Option<LitStr>,
    scope: Option<LitStr>,
    krate: Option<LitStr>,
}

impl Attributes {
    /// Reads them from the attributes of the struct `name`; tells all faults at once.
    pub(crate) fn read(name: &Ident, attributes: &[Attribute]) -> Result<Self, Error> {
        let mut given = Given::default();
        let mut faults = Faults::default();
        for attribute in attributes.iter().filter(|one| one.path().is_ident("object")) {
            let read = attribute.parse_nested_meta(|meta| {
                let slot = if meta.path.is_ident("group") {
                    &mut given.group
                } else if meta.path.is_ident("version") {
                    &mut given.version
                } else if meta.path.is_ident("kind") {
                    &mut given.kind
                } else if meta.path.is_ident("plural") {
                    &mut given.plural
                } else if meta.path.is_ident("scope") {
                    &mut given.scope
                } else if meta.path.is_ident("crate") {
                    &mut given.krate
                } else {
                    faults.add(meta.path.span(), format!("unknown key: allowed are {KEYS}"));
                    if meta.input.peek(Token![=]) {
                        meta.value()?.parse::<syn::Expr>()?;
                    }
                    return Ok(());
                };
                let value: LitStr = meta.value()?.parse()?;
                if slot.replace(value).is_some() {
                    faults.add(meta.path.span(), "given twice".to_owned());
                }
                Ok(())
            });
            if let Err(error) = read {
                faults.push(error);
            }
        }
        let read = Self::checked(name, &given, &mut faults);
        faults.into_result()?;
        Ok(read)
    }

    fn checked(name: &Ident, given: &Given, faults: &mut Faults) -> Self {
        let group = given.group.as_ref().map(LitStr::value);
        if group.is_none() {
            let example =
                r#"#[object(group = "...")] is missing: name an API group of yours, such as "example.com""#;
            faults.add(name.span(), example.to_owned());
        }
        let group = group.unwrap_or_default();
        if !group.is_empty() && !group.split('.').all(|label| is_label(label, false)) {
            faults.value(
                &given.group,
                "a group is a DNS name in lower case, such as \"example.com\"",
            );
        }

        let version = value_or(&given.version, || "v1".to_owned());
        if !is_label(&version, true) {
            faults.value(
                &given.version,
                "a version is a label in lower case, such as \"v1\" or \"v1beta1\"",
            );
        }

        let kind = value_or(&given.kind, || name.to_string());
        let camel = kind.starts_with(|c: char| c.is_ascii_uppercase())
            && kind.bytes().all(|b| b.is_ascii_alphanumeric())
            && kind.len() <= LABEL_MAX;
        if !camel {
            let rule =
                "a kind is a name in CamelCase of ASCII letters and digits, at most 63, such as \"Backup\"";
            let span = given.kind.as_ref().map_or(name.span(), LitStr::span);
            faults.add(span, format!("{kind:?}: {rule}"));
        }

        let plural = value_or(&given.plural, || guess_plural(&kind));
        if !is_label(&plural, true) {
            faults.value(
                &given.plural,
                "a plural is a label in lower case, such as \"backups\"",
            );
        }

        let scope = value_or(&given.scope, || "Namespaced".to_owned());
        if scope != "Namespaced" && scope != "Cluster" {
            faults.value(&given.scope, "allowed are \"Namespaced\" and \"Cluster\"");
        }

        let krate = match given.krate.as_ref().map(LitStr::parse).transpose() {
            Ok(path) => path.unwrap_or_else(|| syn::parse_quote!(::orch_core)),
            Err(error) => {
                faults.push(error);
                syn::parse_quote!(::orch_core)
            }
        };
        Self {
            group,
            version,
            kind,
            plural,
            namespaced: scope == "Namespaced",
            krate,
        }
    }
}

const LABEL_MAX: usize = 63;

/// Kubernetes' guess (apimachinery's `UnsafeGuessKindToResource`).
fn guess_plural(kind: &str) -> String {
    let singular = kind.to_lowercase();
    if let Some(stem) = singular.strip_suffix('y') {
        format!("{stem}ies")
    } else if singular.ends_with('s') {
        format!("{singular}es")
    } else {
        format!("{singular}s")
    }
}

/// Whether it is a lower-case DNS label, which `begins_with_letter` if so asked (RFC 1035, not 1123).
fn is_label(text: &str, begins_with_letter: bool) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= LABEL_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase() || (!begins_with_letter && c.is_ascii_digit()))
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-')
}

fn value_or(given: &Option<LitStr>, default: impl FnOnce() -> String) -> String {
    given.as_ref().map_or_else(default, LitStr::value)
}

/// Several errors in one.
#[derive(Default)]
struct Faults(Option<Error>);

impl Faults {
    fn add(&mut self, span: Span, message: String) {
        self.push(Error::new(span, message));
    }

    /// A value that was given, or follows from the struct's name where it was not.
    fn value(&mut self, given: &Option<LitStr>, rule: &str) {
        if let Some(literal) = given {
            self.add(literal.span(), format!("{:?}: {rule}", literal.value()));
        }
    }

    fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    fn into_result(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), Err)
    }
}
