//! Selectors match, and are parsed and printed as Kubernetes' are.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::super::{FieldPath, names};
use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn selector(text: &str) -> Selector {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_text_selects_by_labels() {
    let web = labels(&[("app", "web"), ("tier", "front"), ("weight", "5"), ("empty", "")]);
    let cases: &[(&str, bool)] = &[
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app = web , tier=front", true),
        ("app=web,tier=back", false),
        ("app!=web", false),
        ("absent!=web", true),
        ("app in (web)", true),
        ("app in (db, web)", true),
        ("app in (db)", false),
        ("absent in (web)", false),
        ("app notin (db,cache)", true),
        ("app notin (web)", false),
        ("absent notin (web)", true),
        ("app", true),
        ("absent", false),
        ("!absent", true),
        ("! app", false),
        ("empty=", true),
        ("empty in ()", false),
        ("empty in (,a)", true),
        ("app=", false),
        ("weight>4", true),
        ("weight>5", false),
        ("weight<6", true),
        ("weight < -1", false),
        ("app>1", false),
        ("absent<1", false),
        ("in=x", false),
        ("notin", false),
        ("app in (in,notin,web)", true),
        ("app notin(x)", true),
    ];
    for &(text, matches) in cases {
        match text.parse::<Selector>() {
            Ok(selector) => assert_eq!(selector.matches(&web), matches, "{text}"),
            Err(error) => assert_eq!(text, "empty in ()", "{error}"),
        }
    }
}

#[test]
fn a_wrong_text_is_refused_with_what_may_stand_there() {
    let cases = [
        (",", "found ',', expected: '!' or a label's key"),
        ("a,", "found the end, expected: '!' or a label's key"),
        ("!", "found the end, expected: a label's key after '!'"),
        ("!a=b", "found '=', expected: ',' or the end"),
        ("a b", "found 'b', expected: one of =, ==, !=, in, notin, >, <"),
        ("a=b c", "found 'c', expected: ',' or the end"),
        ("a=(b)", "found '(', expected: a value"),
        ("a in b", "found 'b', expected: '('"),
        ("a in (b", "found the end, expected: ',' or ')'"),
        ("a in (b c)", "found 'c', expected: ',' or ')'"),
        ("a in (", "found the end, expected: ',', ')' or a value"),
        (
            "a in ()",
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        ("a>b", "found 'b', expected: a whole number for '>' and '<'"),
        ("a>", "found the end, expected: a whole number"),
        ("=b", "found '=', expected: '!' or a label's key"),
        ("a/b/c=d", "key: Invalid value: \"a/b/c\": a qualified name must"),
        (
            "a=b/c",
            "values[0][a]: Invalid value: \"b/c\": a valid label must",
        ),
    ];
    for (text, reason) in cases {
        let error = text.parse::<Selector>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("unable to parse selector {text:?}: ")),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
    }
    let long = "a".repeat(MAX_LENGTH + 1);
    assert!(matches!(
        long.parse::<Selector>(),
        Err(SelectorError::TooLong { .. })
    ));
    assert!(matches!(
        long.parse::<FieldSelector>(),
        Err(SelectorError::TooLong { .. })
    ));
}

#[test]
fn a_selector_is_shown_by_key_in_its_shortest_form() {
    let cases = [
        ("z,a==b", "a=b,z"),
        ("a in (b)", "a=b"),
        ("a notin (b)", "a!=b"),
        ("a in (c,b,c)", "a in (b,c)"),
        ("!a , b>1,c<2", "!a,b>1,c<2"),
        ("", ""),
    ];
    for (text, shown) in cases {
        assert_eq!(selector(text).to_string(), shown);
        assert_eq!(selector(shown), selector(text));
    }
}

#[test]
fn everything_and_nothing_differ() {
    assert!(Selector::everything().is_everything() && Selector::default().matches(&labels(&[])));
    assert!(Selector::nothing().is_nothing() && !Selector::nothing().matches(&labels(&[("a", "b")])));
    assert!(!Selector::nothing().is_everything() && !selector("a").is_everything());
    let web = labels(&[("app", "web")]);
    assert_eq!(Selector::from_labels(&web), selector("app=web"));
    assert_eq!(selector("a in (b,c),d=e").exact("a"), None);
    assert_eq!(selector("a!=b,a=c").exact("a"), Some("c"));
}

#[test]
fn an_objects_selector_becomes_the_form_to_evaluate() {
    let wire = json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]},
            {"key": "env", "operator": "NotIn", "values": ["test"]},
            {"key": "x", "operator": "Exists"},
            {"key": "y", "operator": "DoesNotExist", "values": null},
        ],
    });
    let parsed: LabelSelector = serde_json::from_value(wire).unwrap();
    assert_eq!(
        parsed.to_selector().unwrap(),
        selector("app=web,tier in (a,b),env!=test,x,!y")
    );
    let empty: LabelSelector = serde_json::from_value(json!({"matchLabels": null})).unwrap();
    assert!(empty.is_empty() && empty.to_selector().unwrap().is_everything());
    assert_eq!(serde_json::to_value(empty).unwrap(), json!({}));
}

#[test]
fn every_fault_of_an_objects_selector_is_told_with_its_path() {
    let wrong: LabelSelector = serde_json::from_value(json!({
        "matchLabels": {"a b": "x", "c": "/"},
        "matchExpressions": [
            {"key": "k", "operator": "In"},
            {"key": "k", "operator": "Exists", "values": ["v"]},
            {"key": "", "operator": "Gt", "values": ["ok", "n o"]},
        ],
    }))
    .unwrap();
    let errors = wrong.validate(&FieldPath::new("spec").child("selector"));
    let starts = [
        "spec.selector.matchLabels: Invalid value: \"a b\": name part must consist of",
        "spec.selector.matchLabels[c]: Invalid value: \"/\": a valid label must",
        "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        "spec.selector.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        "spec.selector.matchExpressions[2].operator: Invalid value: \"Gt\": not a valid selector operator",
        "spec.selector.matchExpressions[2].key: Invalid value: \"\": name part must be non-empty",
        "spec.selector.matchExpressions[2].key: Invalid value: \"\": name part must consist of",
        "spec.selector.matchExpressions[2].values[1]: Invalid value: \"n o\": a valid label must",
    ];
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (message, start) in told.iter().zip(starts) {
        assert!(message.starts_with(start), "{message}");
    }
    assert!(wrong.to_selector().is_err());
}

#[test]
fn a_field_selector_compares_strings_and_takes_absent_for_empty() {
    let value_of = |path: &str| match path {
        "metadata.name" => Some("web".into()),
        "odd" => Some("a,b=c\\".into()),
        _ => None,
    };
    let cases = [
        ("", true),
        ("metadata.name=web", true),
        ("metadata.name==web", true),
        ("metadata.name!=web", false),
        ("metadata.name=web,spec.nodeName=", true),
        ("spec.nodeName!=", false),
        (",metadata.name=web,", true),
        (r"odd=a\,b\=c\\", true),
    ];
    for (text, matches) in cases {
        let selector: FieldSelector = text.parse().unwrap();
        assert_eq!(selector.matches(value_of), matches, "{text}");
        assert_eq!(selector.to_string().parse::<FieldSelector>().unwrap(), selector);
    }
    for text in ["metadata.name", "a!b", r"a=\x", "a=b=c", r"a=b\"] {
        let error = text.parse::<FieldSelector>().unwrap_err();
        assert!(error.to_string().contains("expected: "), "{error}");
    }
}

#[test]
fn a_field_that_cannot_be_selected_on_is_named_with_those_that_can() {
    let selector = FieldSelector::equal("metadata.name", "a").and_not_equal("spec.x", "b");
    assert!(selector.require_known(&["metadata.name", "spec.x"]).is_ok());
    assert_eq!(
        selector
            .require_known(&["metadata.name"])
            .unwrap_err()
            .to_string(),
        "field \"spec.x\" cannot be selected on; allowed are metadata.name"
    );
}

proptest! {
    #[test]
    fn what_a_selector_shows_reads_back_as_the_same(text in "(!?[a-c]{1,2}|[a-c](=|!=| in \\(|>)[a-c1]{0,2}\\)?)(,[a-c]=[a-c])*") {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "[a-z=!,() ><\\\\]{0,30}|.{0,30}") {
        let _ = text.parse::<Selector>();
        if let Ok(selector) = text.parse::<FieldSelector>() {
            prop_assert_eq!(selector.to_string().parse::<FieldSelector>().unwrap(), selector);
        }
        for check in [names::dns_label, names::dns_subdomain, names::qualified_name, names::label_value, names::port_name] {
            check(&text);
        }
    }
}
