//! Which forms of an answer the caller takes: its `Accept` header.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::status::Refused;

/// The media types that answers can have, other forms of the same apart.
const SERVED: [&str; 1] = ["application/json"];

/// The forms that the caller takes, the one that it likes best first.
#[derive(Debug, Default)]
pub(crate) struct Accept(Vec<Taken>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Taken {
    /// `application/json`, in lower case.
    pub(crate) media_type: String,
    /// Its parameters, but for `q`.
    params: Vec<(String, String)>,
}

/// The form of an answer with objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The objects as they are.
    Whole,
    /// Of each its metadata.
    Metadata,
    Table,
}

/// What an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// One object, or one in each event of a watch.
    One,
    List,
}

impl Accept {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter();
        let forms = values.filter_map(|value| value.to_str().ok());
        let mut found: Vec<(f32, Taken)> = forms
            .flat_map(|value| value.split(','))
            .filter_map(taken)
            .filter(|(weight, _)| *weight > 0.0)
            .collect();
        // What is liked as much stays in the order in which it was given.
        found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        Self(found.into_iter().map(|(_, taken)| taken).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Taken> {
        self.0.iter()
    }

    /// The best form of an answer with objects. Whatever it is where nothing is said.
    pub(crate) fn form(&self, what: Answered) -> Result<Form, Refused> {
        if self.0.is_empty() {
            return Ok(Form::Whole);
        }
        self.iter()
            .find_map(|taken| taken.form(what))
            .ok_or_else(|| Refused::not_acceptable(&SERVED))
    }
}

impl Taken {
    /// A parameter of the media type.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        params
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn form(&self, what: Answered) -> Option<Form> {
        if !matches!(
            self.media_type.as_str(),
            "application/json" | "application/*" | "*/*"
        ) {
            return None;
        }
        match (self.param("as"), self.param("g"), self.param("v")) {
            (None, None, None) => Some(Form::Whole),
            (Some(kind), Some("meta.k8s.io"), Some("v1")) => match (kind, what) {
                ("Table", _) => Some(Form::Table),
                ("PartialObjectMetadata", Answered::One) | ("PartialObjectMetadataList", Answered::List) => {
                    Some(Form::Metadata)
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// A form, and how much it is liked; none of what is empty.
fn taken(text: &str) -> Option<(f32, Taken)> {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().filter(|media_type| !media_type.is_empty())?;
    let (mut weight, mut params) = (1.0, Vec::new());
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim() {
            // What is no number is as if it were not said.
            "q" => weight = value.trim().parse().unwrap_or(1.0),
            name => params.push((name.to_owned(), value.trim().to_owned())),
        }
    }
    let media_type = media_type.to_ascii_lowercase();
    Some((weight, Taken { media_type, params }))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accept(values: &[&str]) -> Accept {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        Accept::of(&headers)
    }

    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const BETA: &str = "application/json;as=Table;v=v1beta1;g=meta.k8s.io";
    const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

    #[test]
    fn the_first_form_that_there_is_is_answered() {
        let kubectl = format!("{TABLE},{BETA},application/json");
        let beta_first = format!("{BETA},{TABLE},application/json");
        let beta_then_whole = format!("{BETA},application/json");
        let whole_first = format!("application/json, {TABLE}");
        let whole_liked_less = format!("application/json;q=0.5, {TABLE}");
        let not_whole = format!("application/json;q=0, {BETA}");
        let table_of_protobuf = TABLE.replace("json", "vnd.kubernetes.protobuf");
        let of_no_group = "application/json;as=Table;v=v1";
        for (header, one, list) in [
            ("", Some(Form::Whole), Some(Form::Whole)),
            ("application/json", Some(Form::Whole), Some(Form::Whole)),
            (
                "Application/JSON; charset=utf-8",
                Some(Form::Whole),
                Some(Form::Whole),
            ),
            (
                "application/json;stream=watch",
                Some(Form::Whole),
                Some(Form::Whole),
            ),
            ("text/html, */*;q=0.1", Some(Form::Whole), Some(Form::Whole)),
            ("application/*", Some(Form::Whole), Some(Form::Whole)),
            (&kubectl, Some(Form::Table), Some(Form::Table)),
            (&beta_first, Some(Form::Table), Some(Form::Table)),
            (&beta_then_whole, Some(Form::Whole), Some(Form::Whole)),
            (&whole_first, Some(Form::Whole), Some(Form::Whole)),
            (&whole_liked_less, Some(Form::Table), Some(Form::Table)),
            (METADATA, Some(Form::Metadata), None),
            (METADATA_LIST, None, Some(Form::Metadata)),
            (BETA, None, None),
            (&not_whole, None, None),
            (of_no_group, None, None),
            (&table_of_protobuf, None, None),
            ("application/yaml", None, None),
            ("text/plain", None, None),
        ] {
            let accept = accept(&[header]);
            assert_eq!(accept.form(Answered::One).ok(), one, "one, {header:?}");
            assert_eq!(accept.form(Answered::List).ok(), list, "a list, {header:?}");
        }
    }

    #[test]
    fn several_headers_are_as_one() {
        let accept = accept(&["text/plain", TABLE, "application/json"]);
        assert_eq!(accept.form(Answered::List).ok(), Some(Form::Table));
    }
}
