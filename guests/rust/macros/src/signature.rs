//! A handler's parameters and return type, as the rest of the macro needs them.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, FnArg, Ident, Pat, Result, ReturnType, Signature, Type, parse_quote};

/// One argument of the task.
pub struct Parameter {
    pub name: Ident,
    pub ty: Type,
    /// serde's attributes, which go with the field.
    pub serde: Vec<Attribute>,
}

pub struct Shape {
    /// The handler's first parameter is its `App`.
    pub app: bool,
    pub parameters: Vec<Parameter>,
    /// The one parameter is all arguments.
    pub whole: bool,
    pub returns: Returns,
}

pub enum Returns {
    Value(Type),
    Result(Type),
}

impl Shape {
    /// Reads a signature, and takes our own attributes and serde's off its parameters.
    pub fn take(signature: &mut Signature) -> Result<Self> {
        if !signature.generics.params.is_empty() {
            return Err(Error::new_spanned(&signature.generics, "a task has one signature: it cannot be generic"));
        }
        let mut shape = Self { app: false, parameters: Vec::new(), whole: false, returns: returns(&signature.output) };
        let count = signature.inputs.len();
        for (index, input) in signature.inputs.iter_mut().enumerate() {
            let FnArg::Typed(input) = input else {
                return Err(Error::new_spanned(input, "a task is a free function: it has no self"));
            };
            if index == 0 && last_segment_is(&input.ty, "App") {
                shape.app = true;
                continue;
            }
            let Pat::Ident(name) = &mut *input.pat else {
                return Err(Error::new_spanned(&input.pat, "an argument needs a name, as callers pass it by name"));
            };
            if let Type::Reference(reference) = &*input.ty {
                let message = "an argument is owned, as it comes from a message: String for &str, Vec<T> for &[T]";
                return Err(Error::new_spanned(reference, message));
            }
            let (serde, others): (Vec<_>, _) = input.attrs.drain(..).partition(|a| a.path().is_ident("serde"));
            let (whole, others): (Vec<_>, Vec<_>) =
                others.into_iter().partition(|a: &Attribute| a.path().is_ident("args"));
            input.attrs = others;
            if let Some(attribute) = whole.first() {
                if count - usize::from(shape.app) != 1 {
                    return Err(Error::new_spanned(
                        attribute,
                        "#[args] takes all arguments: no other can stand beside it",
                    ));
                }
                shape.whole = true;
            }
            shape.parameters.push(Parameter { name: name.ident.clone(), ty: (*input.ty).clone(), serde });
        }
        Ok(shape)
    }

    /// The parameters of the function that makes a call.
    pub fn call_parameters(&self) -> TokenStream {
        let parameters = self.parameters.iter().map(|Parameter { name, ty, .. }| quote!(#name: #ty));
        quote!(#(#parameters),*)
    }

    /// A struct of the arguments, to be read.
    pub fn arguments(&self) -> TokenStream {
        let fields = self.parameters.iter().map(|Parameter { name, ty, serde }| quote!(#(#serde)* #name: #ty));
        quote! {
            // Unknown names are refused, as Python does: a misspelt optional argument would else be ignored.
            #[derive(::brrr::__private::serde::Deserialize)]
            #[serde(crate = "::brrr::__private::serde", deny_unknown_fields)]
            struct Arguments { #(#fields),* }
        }
    }

    /// A struct of the arguments, for their schema.
    pub fn schema(&self) -> TokenStream {
        let fields = self.parameters.iter().map(|Parameter { name, ty, serde }| quote!(#(#serde)* #name: #ty));
        quote! {
            #[derive(::brrr::__private::serde::Deserialize, ::brrr::__private::schemars::JsonSchema)]
            #[serde(crate = "::brrr::__private::serde", deny_unknown_fields)]
            #[schemars(crate = "::brrr::__private::schemars")]
            #[allow(dead_code, reason = "only its schema counts")]
            struct Arguments { #(#fields),* }
        }
    }

    /// A struct of the arguments, to be written, and its value.
    ///
    /// A field has the type of a parameter of the struct, so that the struct is there whether or not the argument can
    /// be written: see `writable`. serde's attributes may name functions of the argument's own type, so such a field has
    /// that type.
    pub fn written(&self) -> TokenStream {
        let generic = |index: usize| Ident::new(&format!("T{index}"), proc_macro2::Span::call_site());
        let plain = |parameter: &Parameter| parameter.serde.is_empty();
        let all = || self.parameters.iter().enumerate();
        let generics = all().filter(|(_, parameter)| plain(parameter)).map(|(index, _)| generic(index));
        let fields = all().map(|(index, parameter)| {
            let Parameter { name, ty, serde } = parameter;
            let generic = generic(index);
            if plain(parameter) { quote!(#name: #generic) } else { quote!(#(#serde)* #name: #ty) }
        });
        let values = self.parameters.iter().map(|parameter| {
            let name = &parameter.name;
            if plain(parameter) { quote!(#name: &#name) } else { quote!(#name) }
        });
        quote! {{
            #[derive(::brrr::__private::serde::Serialize)]
            #[serde(crate = "::brrr::__private::serde")]
            struct Arguments<#(#generics),*> { #(#fields),* }
            Arguments { #(#values),* }
        }}
    }

    /// What a caller's arguments must be. It is asked of a caller, and not where the handler is: a handler that nobody
    /// calls by its function needs no `Serialize`. The compiler checks a bound that has nothing generic in it at once,
    /// but one over any lifetime only where it is used.
    pub fn writable(&self) -> TokenStream {
        let types =
            self.parameters.iter().filter(|parameter| parameter.serde.is_empty()).map(|parameter| &parameter.ty);
        quote!(where #(for<'any> &'any #types: ::brrr::__private::serde::Serialize),*)
    }

    pub fn names(&self) -> TokenStream {
        let names = self.parameters.iter().map(|parameter| &parameter.name);
        quote!(#(#names),*)
    }
}

impl Returns {
    /// What a call gives.
    pub fn value(&self) -> TokenStream {
        match self {
            Self::Value(ty) => quote!(#ty),
            Self::Result(ty) => quote!(<#ty as ::brrr::__private::HandlerResult>::Value),
        }
    }

    /// The handler's output as a `brrr::Result`.
    pub fn result(&self, output: &TokenStream) -> TokenStream {
        match self {
            Self::Value(_) => quote!(::core::result::Result::Ok(#output)),
            Self::Result(_) => quote!(::brrr::__private::HandlerResult::into_result(#output)),
        }
    }
}

fn returns(output: &ReturnType) -> Returns {
    match output {
        ReturnType::Default => Returns::Value(parse_quote!(())),
        // By name, as a macro sees no types: `Result<…>`, `brrr::Result<…>`, `anyhow::Result<…>`.
        ReturnType::Type(_, ty) if last_segment_is(ty, "Result") => Returns::Result((**ty).clone()),
        ReturnType::Type(_, ty) => Returns::Value((**ty).clone()),
    }
}

fn last_segment_is(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == name))
}
