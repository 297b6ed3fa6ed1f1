//! `balancer check`: judges a configuration.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use crate::{
    config::{self, Backend, Config, DEFAULT_PATH, HealthKind, Loaded, Mode, Service, Setting, Via},
    health::{Guises, may_go_by_datapath},
};

/// The exit code of an invalid configuration.
const INVALID: u8 = 5;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Print what was understood and the memory that it costs
    #[arg(short, long)]
    pub verbose: bool,
    /// The file
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
}

/// Runs the verb; the value is the exit code. Silent when all is good.
///
/// # Errors
/// When `out` or `err` cannot be written.
pub fn run(args: &CheckArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    match config::load(&args.config) {
        Err(problems) => {
            writeln!(err, "{problems}")?;
            Ok(INVALID)
        }
        Ok(Loaded { config, warnings }) => {
            warnings.iter().try_for_each(|warning| writeln!(err, "{warning}"))?;
            if args.verbose {
                understood(&config, out)?;
            }
            Ok(0)
        }
    }
}

fn understood(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "agent")?;
    settings(&config::agent_settings(&config.agent), out)?;
    writeln!(out, "\nlimits")?;
    settings(&config::limit_settings(&config.limits), out)?;
    let guises = Guises::of(config);
    for each in &config.services {
        writeln!(out)?;
        service(each, &guises, out)?;
    }
    writeln!(out)?;
    memory(config, out)
}

fn settings(settings: &[Setting], out: &mut dyn Write) -> io::Result<()> {
    settings.iter().try_for_each(|setting| row(&setting.name(), &setting.value, out))
}

fn row(name: &str, value: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {name:<20} {value}")
}

fn service(service: &Service, guises: &Guises, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "service {}", service.name)?;
    settings(&config::service_settings(service), out)?;
    if service.health.via == Via::Auto && service.health.kind != HealthKind::None {
        let way = match may_go_by_datapath(service, guises) {
            true => "by the datapath, where the kernel has it",
            false if service.mode == Mode::Nat => "directly, from this host's own address",
            false => "directly: no TCP listener is on the port asked",
        };
        row("checks go", way, out)?;
    }
    for backend in &service.backends {
        let value = backend_line(backend);
        row(&format!("backend {}", backend.name), &value, out)?;
    }
    Ok(())
}

fn backend_line(backend: &Backend) -> String {
    let mut words = vec![
        backend.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        format!("weight {}", backend.weight),
        backend.state.word().to_owned(),
    ];
    words.extend(backend.backup.then(|| "backup".to_owned()));
    words.extend(backend.max_flows.map(|limit| format!("at most {limit} flows")));
    words.join(", ")
}

fn memory(config: &Config, out: &mut dyn Write) -> io::Result<()> {
    let footprint = config::footprint(config);
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    writeln!(out, "memory")?;
    row("flows", &mib(footprint.flows), out)?;
    row("pins", &mib(footprint.pins), out)?;
    row("maglev", &mib(footprint.maglev), out)?;
    row("translation", &mib(footprint.nat), out)?;
    row("fixed tables", &mib(footprint.fixed), out)?;
    row("all", &mib(footprint.total()), out)
}
