//! What stands in the brackets of `#[brrr::handler(…)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Error, Ident, LitInt, LitStr, Result};

#[derive(Default)]
pub struct Attributes {
    pub name: Option<String>,
    pub topic: Option<String>,
    pub raw: bool,
    timeout_ms: Option<u64>,
    max_retries: Option<u32>,
    retry_delay_ms: Option<u64>,
    max_retry_delay_ms: Option<u64>,
    /// The variant of `brrr::Backoff`.
    backoff: Option<Ident>,
    max_running: Option<u32>,
    memory_bytes: Option<u64>,
    /// A `brrr::Scope`.
    scope: Option<TokenStream>,
    leaf: bool,
    /// The JSON Schemas come from the types.
    pub schema: bool,
    /// The JSON Schemas, as text.
    pub input_schema: Option<LitStr>,
    pub output_schema: Option<LitStr>,
}

const OF_HANDLER: &[&str] = &[
    "name",
    "timeout",
    "max_retries",
    "retry_delay",
    "max_retry_delay",
    "backoff",
    "max_running",
    "memory",
    "scope",
    "leaf",
    "raw",
    "schema",
    "input_schema",
    "output_schema",
];

impl Attributes {
    pub fn of_handler(tokens: TokenStream) -> Result<Self> {
        Self::parse(tokens, OF_HANDLER)
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
                "max_retry_delay" => found.max_retry_delay_ms = Some(milliseconds(&meta.value()?.parse()?)?),
                "max_retries" => found.max_retries = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?),
                "backoff" => found.backoff = Some(backoff(&meta.value()?.parse()?)?),
                "max_running" => found.max_running = Some(at_least_one(&meta.value()?.parse()?)?),
                "memory" => found.memory_bytes = Some(bytes(&meta.value()?.parse()?)?),
                "scope" => found.scope = Some(scope(&meta.value()?.parse()?)?),
                "input_schema" => found.input_schema = Some(meta.value()?.parse()?),
                "output_schema" => found.output_schema = Some(meta.value()?.parse()?),
                "schema" => found.schema = true,
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
        let duration = |ms: &Option<u64>| ms.map(|ms| quote!(::core::time::Duration::from_millis(#ms)));
        let set = [
            ("timeout", duration(&self.timeout_ms)),
            ("max_retries", self.max_retries.map(|retries| quote!(#retries))),
            ("retry_delay", duration(&self.retry_delay_ms)),
            ("max_retry_delay", duration(&self.max_retry_delay_ms)),
            ("backoff", self.backoff.as_ref().map(|variant| quote!(::brrr::Backoff::#variant))),
            ("max_running", self.max_running.map(|runs| quote!(#runs))),
            ("memory_bytes", self.memory_bytes.map(|bytes| quote!(#bytes))),
            ("scope", self.scope.clone()),
        ];
        let set = set.into_iter().filter_map(|(name, value)| {
            let (name, value) = (Ident::new(name, proc_macro2::Span::call_site()), value?);
            Some(quote!(options.#name = ::core::option::Option::Some(#value);))
        });
        let leaf = self.leaf;
        // Statements, as other crates can't write a struct that may grow as an expression.
        quote! {{
            #[allow(unused_mut, reason = "no option need be set")]
            let mut options = ::brrr::Options::new();
            #(#set)*
            options.leaf = #leaf;
            options
        }}
    }
}

/// `250ms`, `10s`, `5m`, `2h`, `7d`.
fn milliseconds(text: &LitStr) -> Result<u64> {
    const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    number_and_unit(text, UNITS, "a duration is a whole number of ms, s, m, h or d, like \"10s\"")
}

fn scope(text: &LitStr) -> Result<TokenStream> {
    Ok(match text.value().as_str() {
        "fleet" => quote!(::brrr::Scope::Fleet),
        "job" => quote!(::brrr::Scope::Job),
        _ => {
            let ms = milliseconds(text).ok().filter(|ms| *ms > 0);
            let ms =
                ms.ok_or_else(|| Error::new(text.span(), "a scope is \"fleet\", \"job\", or a duration like \"15m\""))?;
            quote!(::brrr::Scope::For(::core::time::Duration::from_millis(#ms)))
        }
    })
}

/// `64MiB`.
fn bytes(text: &LitStr) -> Result<u64> {
    const UNITS: &[(&str, u64)] = &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    number_and_unit(text, UNITS, "a size is a whole number of KiB, MiB or GiB, like \"64MiB\"")
}

fn number_and_unit(text: &LitStr, units: &[(&str, u64)], otherwise: &str) -> Result<u64> {
    let value = text.value();
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = value[number.len()..].trim();
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let parsed = number.trim().parse::<u64>().ok();
    let product = parsed.zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    product.ok_or_else(|| Error::new(text.span(), otherwise))
}

fn backoff(text: &LitStr) -> Result<Ident> {
    let variant = match text.value().as_str() {
        "fixed" => "Fixed",
        "exponential" => "Exponential",
        _ => return Err(Error::new(text.span(), "a backoff is \"fixed\" or \"exponential\"")),
    };
    Ok(Ident::new(variant, text.span()))
}

fn at_least_one(literal: &LitInt) -> Result<u32> {
    match literal.base10_parse()? {
        0 => Err(Error::new(literal.span(), "with none running at once it would never run")),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(attribute: &str) -> std::result::Result<String, String> {
        let tokens = attribute.parse().map_err(|error| format!("{error}"))?;
        let parsed = Attributes::of_handler(tokens).map_err(|error| error.to_string())?;
        Ok(parsed.options().to_string().replace(' ', ""))
    }

    #[test]
    fn every_option_is_read() {
        let all = options(
            r#"timeout = "10s", max_retries = 3, retry_delay = "250ms", backoff = "fixed", max_retry_delay = "1m",
               max_running = 2, memory = "64MiB", scope = "1h", leaf"#,
        )
        .unwrap();
        for part in [
            "options.timeout=::core::option::Option::Some(::core::time::Duration::from_millis(10000u64));",
            "options.max_retries=::core::option::Option::Some(3u32);",
            "options.retry_delay=::core::option::Option::Some(::core::time::Duration::from_millis(250u64));",
            "options.max_retry_delay=::core::option::Option::Some(::core::time::Duration::from_millis(60000u64));",
            "options.backoff=::core::option::Option::Some(::brrr::Backoff::Fixed);",
            "options.max_running=::core::option::Option::Some(2u32);",
            "options.memory_bytes=::core::option::Option::Some(67108864u64);",
            "options.scope=::core::option::Option::Some(::brrr::Scope::For(::core::time::Duration::from_millis(3600000u64)));",
            "options.leaf=true;",
        ] {
            assert!(all.contains(part), "{part} is not in {all}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_is_meant() {
        for (attribute, meant) in [
            ("memory = \"64\"", "like \"64MiB\""),
            ("memory = \"64MB\"", "like \"64MiB\""),
            ("memory = \"99999999999GiB\"", "like \"64MiB\""),
            ("timeout = \"1.5s\"", "like \"10s\""),
            ("scope = \"ever\"", "\"fleet\", \"job\", or a duration"),
            ("scope = \"0s\"", "\"fleet\", \"job\", or a duration"),
            ("backoff = \"linear\"", "\"fixed\" or \"exponential\""),
            ("max_running = 0", "never run"),
            ("timout = \"1s\"", "there are name, timeout,"),
        ] {
            let error = options(attribute).unwrap_err();
            assert!(error.contains(meant), "{attribute}: {error}");
        }
    }
}
