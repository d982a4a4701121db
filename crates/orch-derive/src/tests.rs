//! What the derive makes of a type, and what it refuses.

use proc_macro2::TokenStream;
use quote::quote;

use crate::expand::object;

fn written(input: TokenStream) -> String {
    object(input).unwrap().to_string().replace(' ', "")
}

fn faults(input: TokenStream) -> Vec<String> {
    let error = object(input).unwrap_err();
    error.into_iter().map(|one| one.to_string()).collect()
}

#[test]
fn defaults_are_v1_the_structs_name_kubernetes_plural_and_namespaced() {
    let cases = [
        ("Backup", "backups"),
        ("Policy", "policies"),
        ("StorageClass", "storageclasses"),
    ];
    for (name, plural) in cases {
        let ident = quote::format_ident!("{name}");
        let code = written(quote! {
            #[object(group = "example.com")]
            struct #ident { metadata: ObjectMeta }
        });
        let new =
            format!(r#"new("example.com","v1","{name}","{plural}",::orch_core::object::Scope::Namespaced,)"#);
        assert!(code.contains(&new), "{code}");
    }
}

#[test]
fn every_key_is_taken() {
    let code = written(quote! {
        #[object(group = "", version = "v2beta1", kind = "Box")]
        #[object(plural = "boxen", scope = "Cluster", crate = "crate::engine")]
        struct Other<T: Clone> where T: Send { metadata: ObjectMeta, spec: T }
    });
    assert!(
        code.contains(r#"new("","v2beta1","Box","boxen",crate::engine::object::Scope::Cluster,)"#),
        "{code}"
    );
    assert!(
        code.contains("impl<T:Clone>crate::engine::object::ObjectforOther<T>whereT:Send{"),
        "{code}"
    );
}

#[test]
fn every_fault_is_told_at_once() {
    let told = faults(quote! {
        #[object(group = "Example", version = "1", kind = "my kind", plural = "My", scope = "Global")]
        #[object(status = true, size, group = "twice")]
        struct X { spec: u8 }
    });
    let parts = [
        "an Object is a struct with a field `metadata: ObjectMeta`; it has none",
        "unknown key: allowed are group, version, kind, plural, scope, crate",
        "unknown key: allowed are group, version, kind, plural, scope, crate",
        "given twice",
        "\"1\": a version is a label in lower case",
        "\"my kind\": a kind is a name in CamelCase",
        "\"My\": a plural is a label in lower case",
        "\"Global\": allowed are \"Namespaced\" and \"Cluster\"",
    ];
    assert_eq!(told.len(), parts.len(), "{told:#?}");
    for (message, part) in told.iter().zip(parts) {
        assert!(message.starts_with(part), "{message}");
    }
}

#[test]
fn what_cannot_be_an_object_is_told() {
    let cases = [
        (
            quote!(
                struct X {
                    metadata: ObjectMeta,
                }
            ),
            "is missing: name an API group",
        ),
        (
            quote!(
                #[object(group = "Example.com")]
                struct X {
                    metadata: ObjectMeta,
                }
            ),
            "a group is a DNS name",
        ),
        (
            quote!(
                #[object(group = "a.b")]
                enum X {
                    A,
                }
            ),
            "an Object is a struct",
        ),
        (
            quote!(
                #[object(group = "a.b")]
                struct X(ObjectMeta);
            ),
            "an Object is a struct",
        ),
        (
            quote!(
                #[object(group = "a.b")]
                struct x {
                    metadata: ObjectMeta,
                }
            ),
            "\"x\": a kind is",
        ),
        (
            quote!(
                #[object(group = 1)]
                struct X {
                    metadata: ObjectMeta,
                }
            ),
            "expected string literal",
        ),
        (
            quote!(
                #[object]
                struct X {
                    metadata: ObjectMeta,
                }
            ),
            "expected attribute arguments",
        ),
    ];
    for (input, part) in cases {
        let told = faults(input);
        assert!(told.iter().any(|message| message.contains(part)), "{told:?}");
    }
}
