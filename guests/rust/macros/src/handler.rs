//! `#[brrr::handler]` and `#[brrr::remote]`: a function becomes a function that makes the call, and a type of the same
//! name (the two have separate namespaces) that says how to run it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Error, Expr, ExprLit, Ident, ItemFn, Lit, LitStr, Meta, MetaNameValue, Result, Signature, TraitItemFn,
    Visibility,
};

use crate::attributes::Attributes;
use crate::signature::{Returns, Shape};

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let attributes = Attributes::of_handler(attribute)?;
    let ItemFn { attrs, vis, mut sig, block } = syn::parse2(item)?;
    let shape = Shape::take(&mut sig)?;
    let function = sig.ident.clone();
    let name = attributes.name.clone().unwrap_or_else(|| function.to_string());
    // The function that makes the call has what its callers see. Attributes such as `#[tracing::instrument]` are about the
    // handler itself.
    let seen =
        |attribute: &&Attribute| ["doc", "deprecated", "allow", "cfg"].iter().any(|a| attribute.path().is_ident(a));
    let of_callers: Vec<Attribute> = attrs.iter().filter(seen).cloned().collect();
    let own = attrs.iter().filter(|attribute| !attribute.path().is_ident("doc"));
    let own = quote!(#(#own)*);
    let call = call(&of_callers, &vis, &sig, &shape, &attributes, &name)?;
    let options = attributes.options();
    let description = description(&attrs);
    let (input_schema, output_schema) = schemas(&attributes, &shape)?;

    // Under another name, so that inside the body the handler's name still makes a call.
    sig.ident = Ident::new("__handler", function.span());
    let app = shape.app.then(|| quote!(app,));
    let wait = sig.asyncness.map(|_| quote!(.await));
    let run = if attributes.raw {
        let output = shape.returns.result(&quote!(__handler(#app app_payload) #wait));
        quote! {
            let app_payload = app.payload.clone();
            ::brrr::__private::finish_raw(#output)
        }
    } else if shape.whole {
        let names = shape.names();
        let ty = &shape.parameters[0].ty;
        let output = shape.returns.result(&quote!(__handler(#app #names) #wait));
        quote! {
            let #names: #ty = ::brrr::__private::arguments(&app.payload)?;
            ::brrr::__private::finish(#output)
        }
    } else {
        let names = shape.names();
        let arguments = shape.arguments();
        let output = shape.returns.result(&quote!(__handler(#app #names) #wait));
        quote! {
            #arguments
            let Arguments { #names } = ::brrr::__private::arguments(&app.payload)?;
            ::brrr::__private::finish(#output)
        }
    };

    Ok(quote! {
        #call

        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis enum #function {}

        impl ::brrr::Handler for #function {
            const TASK: ::brrr::Task = ::brrr::Task {
                name: #name,
                options: #options,
                description: #description,
                input_schema: #input_schema,
                output_schema: #output_schema,
                run: {
                    #own
                    #sig #block
                    |request| {
                        ::std::boxed::Box::pin(async move {
                            let app = ::brrr::__private::start(request);
                            #run
                        })
                    }
                },
            };
        }
    })
}

/// The text of the doc comment.
fn description(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(MetaNameValue { path, value: Expr::Lit(ExprLit { lit: Lit::Str(text), .. }), .. })
            if path.is_ident("doc") =>
        {
            Some(text.value())
        }
        _ => None,
    });
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.join("\n").trim().to_owned()
}

/// The JSON Schemas of arguments and result, each as an expression of type `Option<fn() -> String>`.
fn schemas(attributes: &Attributes, shape: &Shape) -> Result<(TokenStream, TokenStream)> {
    let given = |schema: &Option<LitStr>| match schema {
        Some(text) => quote!(::core::option::Option::Some(|| ::std::string::String::from(#text))),
        None => quote!(::core::option::Option::None),
    };
    if !attributes.schema {
        return Ok((given(&attributes.input_schema), given(&attributes.output_schema)));
    }
    let twice = attributes.input_schema.as_ref().or(attributes.output_schema.as_ref());
    if let Some(text) = twice {
        return Err(Error::new(text.span(), "the schema comes from the types already: leave out `schema` or this"));
    }
    if attributes.raw {
        return Err(Error::new(proc_macro2::Span::call_site(), "bytes have no schema: leave out `schema` or `raw`"));
    }
    let output = match &shape.returns {
        Returns::Value(ty) => quote!(::brrr::__private::schema::<#ty>),
        Returns::Result(ty) => quote!(::brrr::__private::output_schema::<#ty>),
    };
    let input = if shape.whole {
        let ty = &shape.parameters[0].ty;
        quote!(::brrr::__private::schema::<#ty>())
    } else {
        let arguments = shape.schema();
        quote!(#arguments ::brrr::__private::schema::<Arguments>())
    };
    Ok((quote!(::core::option::Option::Some(|| { #input })), quote!(::core::option::Option::Some(#output))))
}

pub fn expand_remote(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let attributes = Attributes::of_remote(attribute)?;
    let mut item = item;
    // `fn f();` is no item outside a trait, so visibility is read apart.
    let vis: Visibility;
    let attrs: Vec<Attribute>;
    (attrs, vis, item) = head(item)?;
    let TraitItemFn { mut sig, default, .. } = syn::parse2(item)?;
    if let Some(block) = default {
        return Err(Error::new_spanned(block, "a remote task has no body here: end it with a semicolon"));
    }
    let shape = Shape::take(&mut sig)?;
    if shape.app {
        return Err(Error::new_spanned(&sig.inputs, "callers pass no App"));
    }
    let name = attributes.name.clone().unwrap_or_else(|| sig.ident.to_string());
    call(&attrs, &vis, &sig, &shape, &attributes, &name)
}

/// Splits `#[doc] pub async fn f();` before its `async` or `fn`.
fn head(item: TokenStream) -> Result<(Vec<Attribute>, Visibility, TokenStream)> {
    use syn::parse::{ParseStream, Parser};
    (|input: ParseStream<'_>| Ok((input.call(Attribute::parse_outer)?, input.parse()?, input.parse()?))).parse2(item)
}

/// The function that makes a call of the task.
fn call(
    attrs: &[Attribute],
    vis: &Visibility,
    signature: &Signature,
    shape: &Shape,
    attributes: &Attributes,
    name: &str,
) -> Result<TokenStream> {
    let function = &signature.ident;
    let parameters = shape.call_parameters();
    let value = shape.returns.value();
    let names = shape.names();
    let topic = attributes.topic.as_ref().map(|topic| quote!(.topic(#topic)));
    let make = if attributes.raw {
        if shape.parameters.len() != 1 {
            return Err(Error::new_spanned(&signature.inputs, "a raw task has one argument: payload: Vec<u8>"));
        }
        quote!(::brrr::Call::raw_named(#name, #names))
    } else if shape.whole {
        quote!(::brrr::Call::named(#name).args(&#names))
    } else {
        let arguments = shape.written();
        quote!(::brrr::Call::named(#name).args(#arguments))
    };
    let bounds = (!attributes.raw && !shape.parameters.is_empty()).then(|| shape.writable());
    Ok(quote! {
        #(#attrs)*
        #[allow(dead_code, reason = "not every task is called from its own worker")]
        #[allow(clippy::needless_pass_by_value, reason = "a call takes what it calls with")]
        #vis fn #function(#parameters) -> ::brrr::Call<#value> #bounds {
            #make #topic
        }
    })
}
