//! What the command line takes, and what it refuses.

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use crate::cli::Cli;

fn parse(command: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("balancer").chain(command.split_whitespace()))
}

fn help(command: &str) -> String {
    let text = parse(&format!("{command} --help")).unwrap_err().to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_manual_is_taken() {
    for command in [
        "run",
        "run -c /tmp/b.toml --force",
        "check",
        "reload --discard-runtime --yes",
        "status -o wide",
        "detach --yes",
        "detach --yes -c /tmp/b.toml",
        "detach --bpffs /sys/fs/bpf/balancer",
        "service list -j",
        "service show ws",
        "backend list ws -o json",
        "backend add ws ws-5 10.0.1.14",
        "backend add ws ws-5 10.0.1.14 2001:db8:1::14 --weight 50",
        "backend del ws ws-5 --now --force",
        "backend ready ws ws-1",
        "backend drain ws ws-1",
        "backend drain ws ws-1 --wait --timeout 10m",
        "backend maint ws ws-1 --yes",
        "backend weight ws ws-1 0",
        "flow list ws --backend ws-1 --client 198.51.100.0/24 --limit 10",
        "flow count",
        "pin list ws --backend ws-1",
        "pin get ws 198.51.100.7",
        "pin del ws 2001:db8::/64",
        "pin release ws --idle",
        "explain 198.51.100.7:40123 203.0.113.10:443/tcp",
        "--api /tmp/api.sock status",
        "status --api /tmp/api.sock",
    ] {
        parse(command).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

#[test]
fn verbs_that_do_not_exist_yet_are_not_there() {
    for command in
        ["top", "events", "trace", "doctor", "whatif drain ws ws-1", "flow purge", "pin set ws 1.2.3.4"]
    {
        assert_eq!(parse(command).unwrap_err().kind(), ErrorKind::InvalidSubcommand, "{command}");
    }
}

#[test]
fn usage_errors_end_with_2() {
    for command in
        ["", "backend", "backend list", "status --nonsense", "explain 1.2.3.4 5.6.7.8", "flow list --limit x"]
    {
        assert_eq!(parse(command).unwrap_err().exit_code(), 2, "{command}");
    }
}

#[test]
fn a_duration_needs_its_unit() {
    let error = parse("backend drain ws ws-1 --wait --timeout 10").unwrap_err().to_string();
    assert!(error.contains("time unit needed"), "{error}");
}

#[test]
fn a_timeout_without_wait_is_refused() {
    assert!(parse("backend drain ws ws-1 --timeout 10m").is_err());
}

#[test]
fn help_says_where_a_verb_differs_from_haproxy() {
    assert!(help("backend drain").contains("Unlike HAProxy's drain, it does not keep persistence"));
    assert!(help("backend maint").contains("Unlike HAProxy's maintenance"));
    assert!(help("backend del").contains("Unlike HAProxy's `del server`"));
    assert!(help("backend weight").contains("As in HAProxy, weight 0 means no new clients"));
}
