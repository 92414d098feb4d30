//! The variables of OpenTelemetry that say what is exported. The exporters read those about addresses, headers and times
//! themselves.
//!
//! Source: OpenTelemetry specification, "Environment Variable Specification" and "OTLP Exporter Configuration". Where it
//! says that a wrong value is ignored, the server does not start instead: nobody would miss what is not sent.

use opentelemetry_sdk::trace::Sampler;

/// What is sent by OTLP.
#[derive(Debug)]
pub struct Exports {
    /// Whether metrics are sent.
    pub metrics: bool,
    /// Which calls are traced, if spans are sent.
    pub traces: Option<Sampler>,
    /// Whether a variable names the service.
    pub service_name: bool,
}

/// A variable with a value that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is {value:?}: {expected}")]
pub struct WrongVariable {
    variable: &'static str,
    value: String,
    expected: &'static str,
}

impl Exports {
    /// Reads the variables. Without any of them nothing is sent.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, WrongVariable> {
        // An empty variable counts as absent.
        let read = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let names = |value: Option<String>| value.is_some_and(|value| value.contains("service.name="));
        let service_name = read("OTEL_SERVICE_NAME").is_some() || names(read("OTEL_RESOURCE_ATTRIBUTES"));
        let is_off = read("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let sends = |exporter: &'static str, endpoint: &str| {
            let is_addressed = read("OTEL_EXPORTER_OTLP_ENDPOINT").or(read(endpoint)).is_some();
            sends(exporter, read(exporter), is_addressed && !is_off).map(|sends| sends && !is_off)
        };
        let metrics = sends("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")?;
        let traces = sends("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")?;
        let sampler = sampler(read("OTEL_TRACES_SAMPLER"), read("OTEL_TRACES_SAMPLER_ARG"))?;
        Ok(Self { metrics, traces: traces.then_some(sampler), service_name })
    }
}

/// Whether an exporter is `otlp`; without the variable, whether there is an address to send to.
fn sends(variable: &'static str, exporter: Option<String>, is_addressed: bool) -> Result<bool, WrongVariable> {
    let Some(exporter) = exporter else { return Ok(is_addressed) };
    let mut sends = false;
    for name in exporter.split(',').map(str::trim) {
        match name {
            "otlp" => sends = true,
            // `/metrics` is always there.
            "none" | "prometheus" => {}
            _ => {
                let expected = "this server knows otlp and none";
                return Err(WrongVariable { variable, value: exporter, expected });
            }
        }
    }
    Ok(sends)
}

fn sampler(name: Option<String>, argument: Option<String>) -> Result<Sampler, WrongVariable> {
    let Some(name) = name else { return Ok(Sampler::ParentBased(Box::new(Sampler::AlwaysOn))) };
    let (is_parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name.as_str()),
    };
    let root = match root {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio(argument)?),
        _ => {
            let expected = "this server knows always_on, always_off and traceidratio, also after parentbased_";
            return Err(WrongVariable { variable: "OTEL_TRACES_SAMPLER", value: name, expected });
        }
    };
    Ok(if is_parent_based { Sampler::ParentBased(Box::new(root)) } else { root })
}

/// The part of calls that is traced: from 0 to 1, by default 1.
fn ratio(argument: Option<String>) -> Result<f64, WrongVariable> {
    let Some(value) = argument else { return Ok(1.0) };
    match value.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => {
            let expected = "a number from 0 to 1 is expected";
            Err(WrongVariable { variable: "OTEL_TRACES_SAMPLER_ARG", value, expected })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Exports, WrongVariable> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Exports::read(find)
    }

    fn sent(variables: &[(&str, &str)]) -> (bool, bool) {
        let exports = read(variables).unwrap();
        (exports.metrics, exports.traces.is_some())
    }

    #[test]
    fn nothing_is_sent_without_an_address() {
        assert_eq!(sent(&[]), (false, false));
        assert_eq!(sent(&[("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("OTEL_SERVICE_NAME", "users")]), (false, false));
    }

    #[test]
    fn an_address_sends_both_unless_one_is_off() {
        let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
        assert_eq!(sent(&[address]), (true, true));
        assert_eq!(sent(&[address, ("OTEL_METRICS_EXPORTER", "none")]), (false, true));
        assert_eq!(sent(&[address, ("OTEL_TRACES_EXPORTER", "none")]), (true, false));
        assert_eq!(sent(&[address, ("OTEL_SDK_DISABLED", "true")]), (false, false));
        assert_eq!(sent(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")]), (false, true));
        assert_eq!(sent(&[("OTEL_METRICS_EXPORTER", "prometheus, otlp")]), (true, false));
    }

    #[test]
    fn the_sampler_is_the_named_one() {
        let sampler = |name, argument| {
            let all = [
                ("OTEL_TRACES_EXPORTER", "otlp"),
                ("OTEL_TRACES_SAMPLER", name),
                ("OTEL_TRACES_SAMPLER_ARG", argument),
            ];
            format!("{:?}", read(&all).unwrap().traces.unwrap())
        };
        assert_eq!(sampler("traceidratio", "0.1"), "TraceIdRatioBased(0.1)");
        assert_eq!(sampler("parentbased_traceidratio", ""), "ParentBased(TraceIdRatioBased(1.0))");
        assert_eq!(sampler("", ""), "ParentBased(AlwaysOn)");
        assert_eq!(sampler("always_off", ""), "AlwaysOff");
    }

    #[test]
    fn a_wrong_value_is_told_with_its_variable() {
        let wrong = [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_TRACES_SAMPLER", "sometimes")];
        for (variable, value) in wrong {
            let error = read(&[(variable, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{variable} is {value:?}: ")), "{error}");
        }
        for ratio in ["1.5", "-1", "a tenth", "NaN"] {
            let all = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", ratio)];
            assert!(read(&all).unwrap_err().to_string().starts_with("OTEL_TRACES_SAMPLER_ARG is "), "{ratio}");
        }
    }
}
