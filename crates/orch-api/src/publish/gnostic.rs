//! A document of OpenAPI 2.0 as protobuf, in the messages of gnostic (`openapiv2/OpenAPIv2.proto`), which kubectl before 1.29 reads.
//!
//! Only what there is in our documents is written. Numbers of fields are that file's.

use serde_json::{Map, Value};

/// A message, as far as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

/// The wire types of a number and of bytes.
const NUMBER: u64 = 0;
const BYTES: u64 = 2;

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// A text that is there and is one.
    fn text(&mut self, field: u64, value: Option<&Value>) {
        if let Some(text) = value.and_then(Value::as_str) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, values: Option<&Value>) {
        for value in values.and_then(Value::as_array).into_iter().flatten() {
            self.text(field, Some(value));
        }
    }

    /// A flag that is set.
    fn flag(&mut self, field: u64, value: Option<&Value>) {
        if value.and_then(Value::as_bool) == Some(true) {
            self.varint(field << 3 | NUMBER);
            self.varint(1);
        }
    }

    /// An entry of a map: the key, and a message.
    fn named(&mut self, field: u64, name: &str, value: &Self) {
        let mut entry = Self::default();
        entry.bytes(1, name.as_bytes());
        entry.message(2, value);
        self.message(field, &entry);
    }

    /// What of a map is Kubernetes' own (`x-...`), each as YAML, which JSON is.
    fn extensions(&mut self, field: u64, map: &Map<String, Value>) {
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            let mut any = Self::default();
            any.bytes(2, value.to_string().as_bytes());
            self.named(field, name, &any);
        }
    }
}

pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut info = Message::default();
    info.text(1, document["info"].get("title"));
    info.text(2, document["info"].get("version"));
    let mut paths = Message::default();
    for (path, item) in entries(document.get("paths")) {
        paths.named(2, path, &path_item(item));
    }
    let mut out = Message::default();
    out.text(1, document.get("swagger"));
    out.message(2, &info);
    out.message(8, &paths);
    out.message(9, &schemas(document.get("definitions")));
    out.0
}

fn entries(map: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.and_then(Value::as_object).into_iter().flatten()
}

/// A map of schemas by name.
fn schemas(map: Option<&Value>) -> Message {
    let mut out = Message::default();
    for (name, one) in entries(map) {
        out.named(1, name, &schema(one));
    }
    out
}

fn schema(value: &Value) -> Message {
    let mut out = Message::default();
    let Value::Object(map) = value else {
        return out;
    };
    out.text(1, map.get("$ref"));
    out.text(2, map.get("format"));
    out.text(4, map.get("description"));
    if let Some(default) = map.get("default") {
        let mut any = Message::default();
        any.bytes(2, default.to_string().as_bytes());
        out.message(5, &any);
    }
    out.texts(19, map.get("required"));
    if let Some(values) = map.get("additionalProperties") {
        let mut additional = Message::default();
        match values {
            Value::Bool(_) => additional.flag(2, Some(values)),
            values => additional.message(1, &schema(values)),
        }
        out.message(21, &additional);
    }
    if let Some(type_) = map.get("type") {
        let mut types = Message::default();
        types.text(1, Some(type_));
        types.texts(1, Some(type_));
        out.message(22, &types);
    }
    if let Some(items) = map.get("items") {
        let mut of = Message::default();
        of.message(1, &schema(items));
        out.message(23, &of);
    }
    if map.contains_key("properties") {
        out.message(25, &schemas(map.get("properties")));
    }
    out.extensions(31, map);
    out
}

fn path_item(value: &Value) -> Message {
    let mut out = Message::default();
    for (method, field) in [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("patch", 8)] {
        if let Some(Value::Object(one)) = value.get(method) {
            out.message(field, &operation(one));
        }
    }
    parameters(&mut out, 9, value.get("parameters"));
    out
}

fn operation(map: &Map<String, Value>) -> Message {
    let mut out = Message::default();
    out.text(5, map.get("operationId"));
    out.texts(6, map.get("produces"));
    out.texts(7, map.get("consumes"));
    parameters(&mut out, 8, map.get("parameters"));
    let mut responses = Message::default();
    for (code, response) in entries(map.get("responses")) {
        let mut one = Message::default();
        one.text(1, response.get("description"));
        if let Some(of) = response.get("schema") {
            let mut item = Message::default();
            item.message(1, &schema(of));
            one.message(2, &item);
        }
        let mut value = Message::default();
        value.message(1, &one);
        responses.named(1, code, &value);
    }
    out.message(9, &responses);
    out.extensions(13, map);
    out
}

fn parameters(out: &mut Message, field: u64, all: Option<&Value>) {
    for one in all.and_then(Value::as_array).into_iter().flatten() {
        let mut parameter = Message::default();
        match one.get("in").and_then(Value::as_str) {
            Some("body") => {
                let mut body = Message::default();
                body.text(1, one.get("description"));
                body.text(2, one.get("name"));
                body.text(3, one.get("in"));
                body.flag(4, one.get("required"));
                if let Some(of) = one.get("schema") {
                    body.message(5, &schema(of));
                }
                parameter.message(1, &body);
            }
            Some(place) => {
                let is_query = place == "query";
                let mut plain = Message::default();
                plain.flag(1, one.get("required"));
                plain.text(2, one.get("in"));
                plain.text(3, one.get("description"));
                plain.text(4, one.get("name"));
                plain.text(if is_query { 6 } else { 5 }, one.get("type"));
                plain.flag(if is_query { 20 } else { 19 }, one.get("uniqueItems"));
                let mut other = Message::default();
                other.message(if is_query { 3 } else { 4 }, &plain);
                parameter.message(2, &other);
            }
            None => continue,
        }
        let mut item = Message::default();
        item.message(1, &parameter);
        out.message(field, &item);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_written_as_gnostics_messages() {
        let document = json!({
            "swagger": "2.0",
            "info": {"title": "T", "version": "v"},
            "paths": {"/p": {"patch": {"operationId": "o", "parameters": [
                {"name": "q", "in": "query", "type": "string", "uniqueItems": true},
            ], "x-a": {"k": 1}}}},
            "definitions": {"D": {"type": "object", "properties": {"r": {"$ref": "#/definitions/D"}}}},
        });
        // Written out by hand from the file of messages.
        let query = b"\x12\x05query\x22\x01q\x32\x06string\xa0\x01\x01";
        let wrap = |field: u8, inner: &[u8]| {
            let mut out = vec![field << 3 | 2, u8::try_from(inner.len()).unwrap()];
            out.extend_from_slice(inner);
            out
        };
        let parameter = wrap(8, &wrap(1, &wrap(2, &wrap(3, query))));
        let extension = [wrap(1, b"x-a"), wrap(2, &wrap(2, br#"{"k":1}"#))].concat();
        let operation = [wrap(5, b"o"), parameter, wrap(9, b""), wrap(13, &extension)].concat();
        let item = [wrap(1, b"/p"), wrap(2, &wrap(8, &operation))].concat();
        // Fields from 16 on take two bytes to name.
        let type_ = b"\xb2\x01\x08\x0a\x06object";
        let reference = [wrap(1, b"r"), wrap(2, &wrap(1, b"#/definitions/D"))].concat();
        let properties = wrap(1, &reference);
        let head = [0xca, 0x01, u8::try_from(properties.len()).unwrap()];
        let definition = [&type_[..], &head, &properties].concat();
        let definitions = wrap(1, &[wrap(1, b"D"), wrap(2, &definition)].concat());
        let expected = [
            wrap(1, b"2.0"),
            wrap(2, &[wrap(1, b"T"), wrap(2, b"v")].concat()),
            wrap(8, &wrap(2, &item)),
            wrap(9, &definitions),
        ];
        assert_eq!(encode(&document), expected.concat());
    }

    #[test]
    fn long_messages_say_how_long_they_are_in_several_bytes() {
        let mut message = Message::default();
        message.bytes(1, &[b'a'; 300]);
        assert_eq!(message.0[..3], [0x0a, 0xac, 0x02]);
        assert_eq!(message.0.len(), 303);
    }
}
