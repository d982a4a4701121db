//! What a request asks for behind the question mark.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use http::Method;
use orch_core::client::Propagation;
use orch_core::object::{FieldError, FieldPath, FieldSelector, Selector};
use orch_core::store::Revision;
use serde::Serialize;

use crate::fields::Validation;
use crate::status::Refused;
use crate::table::Include;

/// Bytes that the name of a field manager may have.
pub(crate) const FIELD_MANAGER_BYTES: usize = 128;

/// The parameters of a request, each once: of one that is given twice the first counts, as in Kubernetes.
#[derive(Debug)]
pub(crate) struct Query {
    given: BTreeMap<String, String>,
    /// What Kubernetes calls the parameters of such a request.
    options: &'static str,
}

/// How the version in `resourceVersion` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The newest there is.
    Newest,
    /// Any will do (`0`).
    Any,
    /// One that is not older.
    NotOlder(Revision),
    /// This one.
    Exact(Revision),
}

impl Query {
    pub(crate) fn of(method: &Method, text: Option<&str>) -> Self {
        let options = match *method {
            Method::POST => "CreateOptions",
            Method::PUT => "UpdateOptions",
            Method::PATCH => "PatchOptions",
            Method::DELETE => "DeleteOptions",
            _ => "ListOptions",
        };
        let mut given = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            given
                .entry(name.into_owned())
                .or_insert_with(|| value.into_owned());
        }
        Self { given, options }
    }

    /// A parameter that says something.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.given
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn parsed<T: FromStr>(&self, name: &str, allowed: &str) -> Result<Option<T>, Refused> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let parsed = value.parse().map(Some);
        parsed.map_err(|_| Refused::bad_request(format!("{name}: {value:?}: must be {allowed}")))
    }

    /// Whether something is asked for. As in Kubernetes, all but `0` and `false` is yes.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        match self.given.get(name).map(String::as_str) {
            None | Some("0") => false,
            Some(value) => !value.eq_ignore_ascii_case("false"),
        }
    }

    pub(crate) fn labels(&self) -> Result<Selector, Refused> {
        let text = self.get("labelSelector").unwrap_or_default();
        text.parse()
            .map_err(|error| Refused::bad_request(format!("labelSelector: {error}")))
    }

    pub(crate) fn fields(&self) -> Result<FieldSelector, Refused> {
        let text = self.get("fieldSelector").unwrap_or_default();
        text.parse()
            .map_err(|error| Refused::bad_request(format!("fieldSelector: {error}")))
    }

    pub(crate) fn limit(&self) -> Result<Option<usize>, Refused> {
        let limit = self.parsed::<usize>("limit", "a number of objects")?;
        Ok(limit.filter(|limit| *limit > 0))
    }

    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Refused> {
        let seconds = self.parsed("timeoutSeconds", "a number of seconds")?;
        // None at all is the usual.
        Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }

    /// Of which version a list is to be (Kubernetes' API concepts, "Resource versions").
    pub(crate) fn version(&self) -> Result<Version, Refused> {
        let revision = self.revision()?;
        let how = self.get("resourceVersionMatch");
        if how.is_some() && self.get("continue").is_some() {
            return Err(Refused::bad_request(
                "resourceVersionMatch: must be left out where continue is given, which says which version goes on",
            ));
        }
        match (revision, how) {
            (None, None) => Ok(Version::Newest),
            (None, Some(_)) if self.is_set("watch") => Ok(Version::Newest),
            (None, Some(_)) => Err(Refused::bad_request(
                "resourceVersionMatch: must be left out unless resourceVersion is given",
            )),
            (Some(0), None | Some("NotOlderThan")) => Ok(Version::Any),
            (Some(0), Some("Exact")) => Err(Refused::bad_request(
                "resourceVersionMatch: \"Exact\": must not be given with resourceVersion 0, which no list has",
            )),
            // A page of a list is of that version, as it always was; a whole list may be newer.
            (Some(revision), None) if self.get("limit").is_some() => {
                Ok(Version::Exact(Revision::new(revision)))
            }
            (Some(revision), None | Some("NotOlderThan")) => Ok(Version::NotOlder(Revision::new(revision))),
            (Some(revision), Some("Exact")) => Ok(Version::Exact(Revision::new(revision))),
            (_, Some(other)) => Err(Refused::bad_request(format!(
                "resourceVersionMatch: {other:?}: must be NotOlderThan or Exact"
            ))),
        }
    }

    fn revision(&self) -> Result<Option<u64>, Refused> {
        self.parsed("resourceVersion", "one that an object or a list has")
    }

    /// What of the objects goes with the rows of a table.
    pub(crate) fn include(&self) -> Result<Include, Refused> {
        match self.get("includeObject") {
            None => Ok(Include::default()),
            Some("None") => Ok(Include::None),
            Some("Metadata") => Ok(Include::Metadata),
            Some("Object") => Ok(Include::Object),
            Some(other) => Err(Refused::bad_request(format!(
                "includeObject: {other:?}: must be None, Metadata or Object"
            ))),
        }
    }

    /// What becomes of a write with fields that its kind does not have, or that are given twice.
    pub(crate) fn field_validation(&self) -> Result<Validation, Refused> {
        let word = self.get("fieldValidation");
        let found = word.map_or(Ok(Validation::default()), str::parse);
        found.map_err(|()| self.unsupported("fieldValidation", word, &["", "Ignore", "Strict", "Warn"]))
    }

    /// Whether nothing is to be written.
    pub(crate) fn dry_run(&self) -> Result<bool, Refused> {
        self.is_dry(self.get("dryRun").into_iter())
    }

    /// Whether nothing is to be written, by what `dryRun` has.
    pub(crate) fn is_dry<'a>(&self, given: impl Iterator<Item = &'a str>) -> Result<bool, Refused> {
        let mut is_dry = false;
        for word in given {
            if word != "All" {
                return Err(self.unsupported("dryRun", [word], &["All"]));
            }
            is_dry = true;
        }
        Ok(is_dry)
    }

    fn unsupported(&self, name: &'static str, value: impl Serialize, supported: &[&str]) -> Refused {
        let error = FieldError::not_supported(&FieldPath::new(name), value, supported.iter().copied());
        Refused::option(self.options, error)
    }

    /// Who writes, as the request names it.
    pub(crate) fn field_manager(&self, is_required: bool) -> Result<Option<&str>, Refused> {
        let path = FieldPath::new("fieldManager");
        let error = match self.get("fieldManager") {
            None if is_required => FieldError::required(&path, "is required for apply patch"),
            None => return Ok(None),
            Some(name) if name.len() > FIELD_MANAGER_BYTES => {
                FieldError::too_long(&path, FIELD_MANAGER_BYTES)
            }
            Some(name) if name.chars().any(char::is_control) => {
                FieldError::invalid(&path, name, "must be printable")
            }
            Some(name) => return Ok(Some(name)),
        };
        Err(Refused::option(self.options, error))
    }

    /// Refuses `force`, which only what is applied can be.
    pub(crate) fn no_force(&self) -> Result<(), Refused> {
        if self.get("force").is_none() {
            return Ok(());
        }
        let path = FieldPath::new("force");
        let error = FieldError::forbidden(&path, "may not be specified for non-apply patch");
        Err(Refused::option(self.options, error))
    }

    pub(crate) fn propagation(&self) -> Result<Option<Propagation>, Refused> {
        self.get("propagationPolicy")
            .map(|word| self.propagation_of(word))
            .transpose()
    }

    /// What becomes of dependents, by what `propagationPolicy` has.
    pub(crate) fn propagation_of(&self, word: &str) -> Result<Propagation, Refused> {
        match word {
            "Background" => Ok(Propagation::Background),
            "Foreground" => Ok(Propagation::Foreground),
            "Orphan" => Ok(Propagation::Orphan),
            other => Err(self.unsupported(
                "propagationPolicy",
                other,
                &["Background", "Foreground", "Orphan"],
            )),
        }
    }

    pub(crate) fn grace_period_seconds(&self) -> Result<Option<u64>, Refused> {
        self.parsed("gracePeriodSeconds", "a number of seconds, 0 or more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_list_is_as_kubernetes_means_it() {
        let seven = Revision::new(7);
        for (text, expected) in [
            ("", Ok(Version::Newest)),
            ("resourceVersion=", Ok(Version::Newest)),
            ("resourceVersion=0", Ok(Version::Any)),
            ("resourceVersion=7", Ok(Version::NotOlder(seven))),
            ("resourceVersion=7&limit=5", Ok(Version::Exact(seven))),
            (
                "resourceVersion=7&resourceVersionMatch=Exact",
                Ok(Version::Exact(seven)),
            ),
            (
                "resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan",
                Ok(Version::NotOlder(seven)),
            ),
            (
                "resourceVersion=0&resourceVersionMatch=Exact",
                Err("resourceVersionMatch"),
            ),
            (
                "resourceVersion=7&resourceVersionMatch=Newer",
                Err("NotOlderThan or Exact"),
            ),
            ("resourceVersionMatch=Exact", Err("unless resourceVersion")),
            ("resourceVersion=x", Err("resourceVersion: \"x\"")),
            (
                "resourceVersion=7&resourceVersionMatch=Exact&continue=a",
                Err("where continue is given"),
            ),
        ] {
            match (Query::of(&Method::DELETE, Some(text)).version(), expected) {
                (Ok(version), Ok(expected)) => assert_eq!(version, expected, "{text}"),
                (Err(refused), Err(words)) => {
                    let status = refused.status().to_string().replace('\\', "");
                    assert!(status.contains(words), "{text}: {status}");
                }
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn parameters_are_read_or_refused_by_name() {
        let query = Query::of(
            &Method::DELETE,
            Some(
                "labelSelector=a%3Db&limit=0&timeoutSeconds=9&watch=1&pretty=false&dryRun=All&propagationPolicy=Orphan",
            ),
        );
        assert_eq!(query.labels().unwrap().exact("a"), Some("b"));
        assert_eq!(query.limit().unwrap(), None, "0 is no limit");
        assert_eq!(query.timeout().unwrap(), Some(Duration::from_secs(9)));
        assert!(query.is_set("watch") && !query.is_set("pretty") && !query.is_set("other"));
        assert!(query.dry_run().unwrap());
        assert_eq!(query.propagation().unwrap(), Some(Propagation::Orphan));
        let query = Query::of(
            &Method::DELETE,
            Some(
                "labelSelector=a%20b&fieldSelector=x&limit=-1&timeoutSeconds=a&dryRun=Some&propagationPolicy=No&gracePeriodSeconds=-1",
            ),
        );
        for (refused, code, start) in [
            (query.labels().err(), 400, "labelSelector"),
            (query.fields().err(), 400, "fieldSelector"),
            (query.limit().err(), 400, "limit"),
            (query.timeout().err(), 400, "timeoutSeconds"),
            (
                query.dry_run().err(),
                422,
                "DeleteOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
            ),
            (
                query.propagation().err(),
                422,
                "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"No\": supported values: ",
            ),
            (query.grace_period_seconds().err(), 400, "gracePeriodSeconds"),
        ] {
            let status = refused.expect(start).status();
            assert_eq!(status["code"], code, "{start}");
            assert!(status["message"].as_str().unwrap().starts_with(start), "{status}");
        }
    }
}
