//! Macros of two variables.

use serde_json::json;

use super::{check, read};

#[test]
fn macros_of_two_variables_see_indices_and_keys() {
    check(
        &json!({"list": ["a", "b", "c"], "map": {"x": 1, "y": 2}}),
        &[
            ("self.list.all(i, v, v == ['a', 'b', 'c'][i])", "true"),
            ("self.map.all(k, v, k != '' && v < 2)", "false"),
            ("self.list.exists(i, v, i == 2 && v == 'c')", "true"),
            ("self.map.exists(k, v, k == 'x' && v == 2)", "false"),
            ("self.list.existsOne(i, v, i > 1)", "true"),
            ("self.list.exists_one(i, v, i > 0)", "false"),
            (
                "self.list.transformList(i, v, v + string(i))",
                "[\"a0\", \"b1\", \"c2\"]",
            ),
            ("self.map.transformList(k, v, v > 1, k)", "[\"y\"]"),
            ("self.map.transformMap(k, v, v * 10)", "{\"x\": 10, \"y\": 20}"),
            ("self.list.transformMap(i, v, i != 1, v)", "{0: \"a\", 2: \"c\"}"),
            (
                "self.list.transformMapEntry(i, v, {v: i})",
                "{\"a\": 0, \"b\": 1, \"c\": 2}",
            ),
            (
                "self.list.transformMapEntry(i, v, i > 0, {v: i})",
                "{\"b\": 1, \"c\": 2}",
            ),
            (
                "self.list.transformMapEntry(i, v, {'same': i})",
                "insert failed: key same already exists",
            ),
            (
                "self.list.transformMapEntry(i, v, i)",
                "no such overload: transformMapEntry(int)",
            ),
            // One may be in another.
            (
                "self.list.transformList(i, v, self.map.transformList(k, n, k + v)[0])",
                "[\"xa\", \"xb\", \"xc\"]",
            ),
            // An error does not matter where another item decides.
            ("self.list.exists(i, v, v.size() / (i - 1) > 0)", "true"),
            ("optional.of(3).optMap(x, x + 1).value()", "4"),
            ("self.?none.optFlatMap(x, x.?y)", "none"),
        ],
    );
}

#[test]
fn variables_of_macros_are_plain_names() {
    for source in [
        "self.list.all(1, v, true)",
        "self.list.transformMap(k, v.w, true)",
    ] {
        let why = read(source).unwrap_err();
        assert!(why.contains("argument must be a simple name"), "{source}: {why}");
    }
    let why = read("self.list.all(i, v, w)").unwrap_err();
    assert!(why.contains("undeclared reference to 'w'"), "{why}");
}
