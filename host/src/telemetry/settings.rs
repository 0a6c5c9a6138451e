//! The variables of OpenTelemetry that this program follows itself. The exporters follow the others.

use crate::cli::ExitError;
use crate::exit::Exit;

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Metrics,
    Traces,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Metrics => "METRICS",
            Self::Traces => "TRACES",
        }
    }
}

/// Is the signal to be sent by OTLP?
///
/// # Errors
/// When a variable asks for what this program can't do.
pub fn is_on(signal: Signal) -> Result<bool, ExitError> {
    decide(signal, |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
}

fn decide(signal: Signal, variable: impl Fn(&str) -> Option<String>) -> Result<bool, ExitError> {
    let refused = |text: String| Err(ExitError::new(Exit::Usage, text));
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let of_signal = |rest: &str| format!("OTEL_EXPORTER_OTLP_{}_{rest}", signal.name());
    let endpoint = [of_signal("ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()];
    if endpoint.iter().all(|name| variable(name).is_none()) {
        return Ok(false);
    }
    let exporter = format!("OTEL_{}_EXPORTER", signal.name());
    match variable(&exporter).as_deref().map(str::trim) {
        None | Some("otlp") => {}
        Some("none") => return Ok(false),
        Some(other) => return refused(format!("{exporter}={other}: it can be `otlp` or `none`")),
    }
    for name in [of_signal("PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()] {
        match variable(&name).as_deref().map(str::trim) {
            None => {}
            Some("http/protobuf") => break,
            Some(other) => {
                let text = format!("{name}={other}: brrr-host sends OTLP as `http/protobuf` (usually to port 4318)");
                return refused(text);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<bool, String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        decide(Signal::Traces, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_sent_without_an_endpoint() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(of(&[]), Ok(false));
        assert_eq!(of(&[endpoint]), Ok(true));
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://x")]), Ok(false));
        assert_eq!(of(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://x")]), Ok(true));
        assert_eq!(of(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(false));
        assert_eq!(of(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(false));
        assert_eq!(of(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")]), Ok(true));
        assert!(of(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err().contains("http/protobuf"));
        assert!(of(&[endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")]).unwrap_err().contains("zipkin"));
    }
}
