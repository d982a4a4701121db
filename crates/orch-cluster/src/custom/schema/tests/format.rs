//! Formats.

use crate::custom::schema::format::Format;
use crate::custom::schema::node::Type;

#[test]
fn formats_take_what_kubernetes_takes() {
    for (format, good, bad) in [
        (
            "bsonobjectid",
            &["507f1f77bcf86cd799439011"][..],
            &["507f1f77bcf86cd79943901", "zzzf1f77bcf86cd799439011"][..],
        ),
        (
            "byte",
            &["YQ==", "YWI=", "YWJj", "ab+/"],
            &["", "YQ=", "YQ", "Y===", "a-_a"],
        ),
        (
            "cidr",
            &["10.0.0.0/8", "::/0", "010.0.0.0/8"],
            &["10.0.0.0", "10.0.0.0/33", "::/129", "a/8", "1.2.3.4/"],
        ),
        (
            "creditcard",
            &["4111 1111 1111 1111", "378282246310005"],
            &["4111111111111112", "1234"],
        ),
        (
            "date",
            &["2024-02-29", "0000-01-01"],
            &["2023-02-29", "2024-2-1", "2024-13-01", "24-01-01", "2024-01-01T"],
        ),
        (
            "date-time",
            &[
                "2024-01-02T03:04:05Z",
                "2024-01-02t03:04:05.123z",
                "2024-01-02T03:04:05+01:00",
                "2024-01-02T03:04:05.1-01:00",
            ],
            &[
                "2024-01-02",
                "2024-01-02T24:00:00Z",
                "2024-01-02T03:04:05",
                "2024-01-02T03:60:05Z",
                "2024-01-02 03:04:05Z",
                "2024-01-02T3:04:05Z",
                "",
            ],
        ),
        (
            "duration",
            &[
                "1h30m", "1.5s", "-2ms", "0", "22 ns", "3 days", "5 weeks", "1µs", "1w", "1h1",
            ],
            &["", "1", "h", "1 parsec"],
        ),
        (
            "email",
            &["a@b.c", "Bob <bob@example.com>", "\"a b\"@c", "a+b@c.d", "<a@b>"],
            &["a", "@b", "a@", "a b@c", "a@b@", "a..b@c", "a@b>"],
        ),
        ("hexcolor", &["#fff", "FFFFFF"], &["#ffff", "#ggg", ""]),
        (
            "hostname",
            &["somewhere.com", "a", "1.foo.com", "xn--bcher-kva.ch", "bücher.ch"],
            &["", "a_b.com", "-a.com", "a..b", "foo.c!", " a"],
        ),
        (
            "ipv4",
            &["1.2.3.4", "01.002.3.4", "::ffff:1.2.3.4"],
            &["1.2.3", "1.2.3.256", "1.2.3.4.5", "::1", "a.b.c.d"],
        ),
        (
            "ipv6",
            &["::1", "2001:db8::1"],
            &["1.2.3.4", "::g", "fe80::1%eth0"],
        ),
        (
            "isbn",
            &["0321751043", "978-0321751041"],
            &["0321751044", "978-0321751042"],
        ),
        (
            "isbn10",
            &["0321751043", "0-8044-2957-X"],
            &["978-0321751041", "X321751043"],
        ),
        ("isbn13", &["978-0321751041"], &["0321751043"]),
        ("k8s-short-name", &["a-1"], &["A", "a.b", "-a"]),
        ("k8s-long-name", &["a.b-1"], &["A", "a..b"]),
        (
            "mac",
            &["01:02:03:04:05:06", "0102.0304.0506", "01-02-03-04-05-06-07-08"],
            &["01:02:03:04:05", "01:02:03:04:05:0g", "0102:0304:0506"],
        ),
        ("password", &["", "anything"], &[]),
        (
            "rgbcolor",
            &["rgb(1, 2,255)"],
            &["rgb(1,2,256)", "rgb(1,2)", "rgb(01,2,3)", "1,2,3"],
        ),
        (
            "ssn",
            &["111-22-3333"],
            &["111223333", "11-222-3333", "111-22-333a"],
        ),
        (
            "uri",
            &[
                "http://a.b/c?d=%zz#e",
                "/a/b",
                "mailto:a@b",
                "http://[::1]:80/",
                "*",
                "a:b",
            ],
            &[
                "",
                "a/b",
                "http://a b/",
                "http://a:x/",
                "/%zz",
                ":a",
                "http://[::1/",
            ],
        ),
        (
            "uuid",
            &[
                "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                "6BA7B8109DAD11D180B400C04FD430C8",
            ],
            &[
                "6ba7b810-9dad-11d1-80b4-00c04fd430c",
                "6ba7b810--9dad11d180b400c04fd430c8",
                "g",
            ],
        ),
        (
            "uuid3",
            &["bcd02e22-68f0-3046-a512-327cca9def8f"],
            &["025b0d74-00a2-4048-bf57-227c5111bb34"],
        ),
        (
            "uuid4",
            &["025b0d74-00a2-4048-bf57-227c5111bb34"],
            &["025b0d74-00a2-4048-cf57-227c5111bb34"],
        ),
        (
            "uuid5",
            &["886313e1-3b8a-5372-9b90-0c9aee199e5d"],
            &["025b0d74-00a2-4048-bf57-227c5111bb34"],
        ),
    ] as [(&str, &[&str], &[&str]); 26]
    {
        let Some(found) = Format::of(format, &[Type::String]) else {
            panic!("{format} is known");
        };
        for text in good {
            assert!(found.is_match(text), "{format}: {text:?} is one");
        }
        for text in bad {
            assert!(!found.is_match(text), "{format}: {text:?} is none");
        }
    }
}

#[test]
fn a_format_of_another_type_or_none_that_is_known_is_as_if_it_were_not_there() {
    for (format, types, expected) in [
        ("int32", &[Type::Integer][..], Some(Format::Int32)),
        ("int32", &[Type::String], None),
        ("float", &[Type::Number], Some(Format::Float)),
        ("datetime", &[Type::String], Some(Format::DateTime)),
        ("date-time", &[], Some(Format::DateTime)),
        ("date", &[Type::Object], None),
        ("ipv4", &[Type::Integer, Type::String], Some(Format::Ipv4)),
        ("my-format", &[Type::String], None),
    ] {
        assert_eq!(Format::of(format, types), expected, "{format}");
    }
}
