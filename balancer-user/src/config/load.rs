//! From a file to a configuration.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use toml::de::DeValue;

use super::{
    agent,
    model::{Config, PortRange},
    place::line_and_column,
    problem::{Problem, Problems, Report, Severity},
    rules, service, syntax,
    table::Table,
};

/// Far more than the most backends take; keeps a device or a log from being read whole.
const FILE_MAX: u64 = 16 << 20;

/// The first and the last port that this host gives its own connections.
const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// The number of this file form.
const SCHEMA: &str = "1";

/// A good configuration, and what may be better about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should look at, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Reads and judges a file.
///
/// # Errors
/// Every problem of the file; the only one has no line when it cannot be read.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let file = path.display().to_string();
    let bytes = read(path).map_err(|error| {
        let message = format!("cannot be read: {error}");
        Problems(vec![Problem::of_file(&file, &message, "name another file with -c, or make it readable")])
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => parse_on(&Host::this(), &text, &file),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let (place, severity) = (line_and_column(&text, good), Severity::Error);
            let problem = Problem::at(&file, place, severity, "this is not UTF-8", "save the file as UTF-8");
            Err(Problems(vec![problem]))
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it has more than {} MiB", FILE_MAX >> 20)));
    }
    Ok(bytes)
}

/// Judges a text; `file` is its name in messages.
///
/// # Errors
/// Every problem of the text, in its order.
pub fn parse(text: &str, file: &str) -> Result<Loaded, Problems> {
    parse_on(&Host::default(), text, file)
}

/// What a configuration is held against besides itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host {
    /// The ports that it gives its own connections; `None`: not known, and nothing meets them.
    pub local_ports: Option<PortRange>,
}

impl Host {
    /// This host.
    #[must_use]
    pub fn this() -> Self {
        let text = std::fs::read_to_string(LOCAL_PORTS).unwrap_or_default();
        let mut ports = text.split_whitespace().map_while(|port| port.parse().ok());
        let local_ports = ports.next().zip(ports.next()).map(|(first, last)| PortRange { first, last });
        Self { local_ports }
    }
}

/// Judges a text on a host.
///
/// # Errors
/// As [`parse`].
pub fn parse_on(host: &Host, text: &str, file: &str) -> Result<Loaded, Problems> {
    // Editors of other systems put it there; it is no part of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let report = Report::new(file, text);
    let config = judge(host, text, &report);
    let problems = report.finish();
    match config {
        Some(config) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok(Loaded { config, warnings: problems })
        }
        _ => Err(Problems(problems)),
    }
}

fn judge(host: &Host, text: &str, report: &Report<'_>) -> Option<Config> {
    let document = syntax::read(text, report)?;
    if !schema_is_known(document.get_ref().get("schema"), report) {
        return None;
    }
    let top = Table::top(&document, report);
    top.number::<u32>("schema");
    let agent = top.table("agent").and_then(|table| agent::agent(&table));
    let limits = top.table("limits").and_then(|table| agent::limits(&table));
    let services: Vec<_> = top.tables("service").iter().map(service::read).collect();
    services.iter().for_each(|service| rules::within(service, report));
    rules::across(&services, agent.as_ref(), report);
    rules::translation(host, &services, agent.as_ref(), limits.as_ref(), report);
    Some(Config {
        agent: agent?.agent,
        limits: limits?.0,
        services: services.into_iter().map(|draft| draft.service).collect::<Option<_>>()?,
    })
}

/// Another schema has other keys: complaints about them would mislead.
fn schema_is_known(schema: Option<&toml::Spanned<DeValue<'_>>>, report: &Report<'_>) -> bool {
    match schema.map(|schema| (schema.get_ref(), schema.span())) {
        Some((DeValue::Integer(number), at)) if number.as_str() != SCHEMA => {
            let message = format!("schema {number} is not known");
            report.error(
                &at,
                message,
                format!("this version reads schema {SCHEMA}; use that, or another version"),
            );
            false
        }
        _ => true,
    }
}
