//! What stands in the brackets of `#[brrr::handler(…)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::{LitInt, LitStr, Result};

#[derive(Default)]
pub struct Attributes {
    pub name: Option<String>,
    pub topic: Option<String>,
    pub raw: bool,
    timeout_ms: Option<u64>,
    max_retries: Option<u32>,
    retry_delay_ms: Option<u64>,
    leaf: bool,
}

impl Attributes {
    pub fn of_handler(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, &["name", "timeout", "max_retries", "retry_delay", "leaf", "raw"])
    }

    pub fn of_remote(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, &["name", "topic", "raw"])
    }

    fn parse(tokens: TokenStream, known: &[&str]) -> Result<Self> {
        let mut found = Self::default();
        let parser = syn::meta::parser(|meta| {
            let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            if !known.contains(&key.as_str()) {
                return Err(meta.error(format!("unknown option; there are {}", known.join(", "))));
            }
            match key.as_str() {
                "name" => found.name = Some(meta.value()?.parse::<LitStr>()?.value()),
                "topic" => found.topic = Some(meta.value()?.parse::<LitStr>()?.value()),
                "timeout" => found.timeout_ms = Some(milliseconds(&meta.value()?.parse()?)?),
                "retry_delay" => found.retry_delay_ms = Some(milliseconds(&meta.value()?.parse()?)?),
                "max_retries" => found.max_retries = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?),
                "leaf" => found.leaf = true,
                _ => found.raw = true,
            }
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(found)
    }

    /// As an expression of type `brrr::Options`.
    pub fn options(&self) -> TokenStream {
        let timeout = optional(self.timeout_ms);
        let retries = optional(self.max_retries);
        let delay = optional(self.retry_delay_ms);
        let leaf = self.leaf;
        quote! {
            ::brrr::Options { timeout_ms: #timeout, max_retries: #retries, retry_delay_ms: #delay, leaf: #leaf }
        }
    }
}

fn optional(value: Option<impl ToTokens>) -> TokenStream {
    value.map_or_else(|| quote!(::core::option::Option::None), |value| quote!(::core::option::Option::Some(#value)))
}

/// `250ms`, `10s`, `5m`, `2h`.
fn milliseconds(text: &LitStr) -> Result<u64> {
    let value = text.value();
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match value[number.len()..].trim() {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let parsed = number.trim().parse::<u64>().ok();
    match parsed.zip(factor).and_then(|(number, factor)| number.checked_mul(factor)) {
        Some(milliseconds) => Ok(milliseconds),
        None => Err(syn::Error::new(text.span(), "a duration is a whole number of ms, s, m or h, like \"10s\"")),
    }
}
