use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::*;

const VALUE: &str = "198.51.100.7 50022 203.0.113.10 22";

fn session() -> SshSession {
    SshSession { client: "198.51.100.7:50022".parse().unwrap(), server: "203.0.113.10:22".parse().unwrap() }
}

fn listen(address: &str, port: Option<u16>, proto: Proto) -> Listen {
    Listen { address: address.parse().unwrap(), port, proto }
}

#[test]
fn the_variable_names_both_ends() {
    assert_eq!(SshSession::parse(VALUE), Some(session()));
    assert_eq!(SshSession::parse("::ffff:198.51.100.7 50022 ::ffff:203.0.113.10 22"), Some(session()));
    let v6 = SshSession::parse("fe80::9%eth0 50022 fe80::1%eth0 22").unwrap();
    assert_eq!(v6.server, "[fe80::1]:22".parse().unwrap());
}

#[test]
fn what_is_no_session_is_none() {
    for value in ["", "198.51.100.7 50022 203.0.113.10", "a b c d", "198.51.100.7 1 203.0.113.10 99999"] {
        assert_eq!(SshSession::parse(value), None, "{value:?}");
    }
    assert_eq!(SshSession::parse(&format!("{VALUE} more")), None);
}

#[test]
fn the_environment_is_searched_for_the_whole_name() {
    let environment = format!("HOME=/root\0SSH_CONNECTION={VALUE}\0TERM=xterm\0");
    assert_eq!(SshSession::in_environment(environment.as_bytes()), Some(session()));
    let other = format!("OLD_SSH_CONNECTION={VALUE}\0");
    assert_eq!(SshSession::in_environment(other.as_bytes()), None);
    assert_eq!(SshSession::in_environment(b""), None);
}

#[test]
fn a_service_carries_the_session_on_its_own_address_port_and_protocol_alone() {
    let carried = |listen: &Listen| session().is_carried_by(listen);
    assert!(carried(&listen("203.0.113.10", Some(22), Proto::Tcp)));
    assert!(carried(&listen("203.0.113.10", None, Proto::Tcp)), "any port");
    assert!(!carried(&listen("203.0.113.10", Some(443), Proto::Tcp)));
    assert!(!carried(&listen("203.0.113.10", Some(22), Proto::Udp)));
    assert!(!carried(&listen("203.0.113.11", Some(22), Proto::Tcp)));
}

/// Killed on drop, so that a failing test leaves no process.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn the_nearest_ancestor_with_a_session_is_asked() {
    // As under sudo: the child has an empty environment, its parent knows the session. `read` makes the
    // child end when the parent is killed.
    let child = "env -i sh -c 'echo $$; read _wait'";
    let mut parent = Command::new("sh")
        .args(["-c", &format!("{child}; :")])
        .env("SSH_CONNECTION", VALUE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Process)
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid = line.trim().parse().unwrap();
    assert_ne!(pid, parent.0.id());
    assert_eq!(SshSession::of_process(Path::new("/proc"), pid), Some(session()));
}

#[test]
fn the_first_process_has_no_parent() {
    assert_eq!(parent("Name:\tinit\nPid:\t1\nPPid:\t0\n"), None);
    assert_eq!(parent("Name:\tPPid: 3\nPPid:\t17\n"), Some(17));
    assert_eq!(SshSession::of_process(Path::new("/nonexistent"), 5), None);
}
