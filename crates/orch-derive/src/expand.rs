//! Writes the implementation.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields};

use crate::attributes::Attributes;

/// The implementation of `Object` for the struct in `input`, or all that is wrong with it.
pub(crate) fn object(input: TokenStream) -> Result<TokenStream, Error> {
    let input: DeriveInput = syn::parse2(input)?;
    let (metadata, attributes) = match (
        metadata_field(&input),
        Attributes::read(&input.ident, &input.attrs),
    ) {
        (Ok(metadata), Ok(attributes)) => (metadata, attributes),
        (Err(mut one), Err(other)) => {
            one.combine(other);
            return Err(one);
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let Attributes {
        group,
        version,
        kind,
        plural,
        namespaced,
        krate,
    } = attributes;
    let scope = if namespaced {
        quote!(Namespaced)
    } else {
        quote!(Cluster)
    };
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    // A field of another type is reported at that type.
    let borrow = quote_spanned!(metadata.ty.span()=> &self.metadata);
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #krate::object::Object for #name #type_generics #where_clause {
            fn resource() -> #krate::object::ApiResource {
                #krate::object::ApiResource::new(
                    #group, #version, #kind, #plural, #krate::object::Scope::#scope,
                )
            }

            fn metadata(&self) -> ::std::borrow::Cow<'_, #krate::object::ObjectMeta> {
                ::std::borrow::Cow::Borrowed(#borrow)
            }

            fn set_metadata(&mut self, metadata: #krate::object::ObjectMeta) {
                self.metadata = metadata;
            }
        }
    })
}

fn metadata_field(input: &DeriveInput) -> Result<&Field, Error> {
    let needed = "an Object is a struct with a field `metadata: ObjectMeta`";
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.ident.span(), needed));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new(input.ident.span(), needed));
    };
    let is_metadata = |field: &&Field| field.ident.as_ref().is_some_and(|ident| ident == "metadata");
    let missing = || Error::new(input.ident.span(), format!("{needed}; it has none"));
    fields.named.iter().find(is_metadata).ok_or_else(missing)
}
