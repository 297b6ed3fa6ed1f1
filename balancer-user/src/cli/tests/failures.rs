//! Every way of not getting what one asked for, with its exit code and what to do about it.

use std::{
    io::{self, Write},
    os::unix::net::UnixListener,
};

use clap::Parser as _;

use super::{
    documents::*,
    standin::{Answer, StandIn, run},
};
use crate::{
    api::types::{ApiError, ErrorCode},
    cli::{
        Cli, execute,
        screen::{Format, Screen},
        ui::Ui,
    },
};

#[test]
fn each_code_of_the_agent_has_its_exit_code() {
    for (code, exit) in [
        (ErrorCode::NotFound, 3),
        (ErrorCode::Invalid, 2),
        (ErrorCode::InvalidConfig, 5),
        (ErrorCode::Refused, 1),
        (ErrorCode::Conflict, 1),
        (ErrorCode::NeedsYes, 1),
        (ErrorCode::Failed, 1),
    ] {
        assert_eq!(StandIn::refusing(ApiError::new(code, "no")).balancer("reload").code, exit, "{code:?}");
    }
}

#[test]
fn a_refusal_comes_with_its_remedy() {
    let error = ApiError::new(ErrorCode::NeedsYes, "backend \"ws-1\" has 12 live flows")
        .with_remedy("drain it first, or say --yes");
    let ended = StandIn::refusing(error).balancer("backend maint ws ws-1");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert_eq!(ended.err, "error: backend \"ws-1\" has 12 live flows\n  drain it first, or say --yes\n");
}

#[test]
fn problems_of_a_file_stand_as_check_prints_them() {
    let error = ApiError::new(ErrorCode::InvalidConfig, "/etc/b.toml:3:1: unknown key; remove it");
    let ended = StandIn::refusing(error).balancer("reload");
    assert_eq!(ended.err, "/etc/b.toml:3:1: unknown key; remove it\n");
}

#[test]
fn a_code_of_a_newer_agent_is_a_plain_failure() {
    let body = r#"{"schema":1,"error":{"code":"too-hot","message":"cpu 0 burns","remedy":null}}"#;
    let ended = StandIn::new(move |_| Answer::text(503, body)).balancer("status");
    assert_eq!((ended.code, ended.err.as_str()), (1, "error: cpu 0 burns\n"));
}

#[test]
fn without_an_agent_the_error_names_socket_and_start() {
    let ended = run(Screen::default(), "--api /nonexistent/api.sock status");
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("agent unreachable at /nonexistent/api.sock: "), "{}", ended.err);
    assert!(ended.err.contains("balancer run -c FILE"), "{}", ended.err);
}

#[test]
fn a_socket_that_nobody_listens_on_is_an_unreachable_agent() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let ended = run(Screen::default(), &format!("--api {} status", socket.display()));
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("onnection refused"), "{}", ended.err);
}

#[test]
fn an_agent_that_hangs_up_is_an_unreachable_agent() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let ended = run(Screen::default(), &format!("--api {} status", socket.display()));
    server.join().unwrap();
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("gave no answer to GET /v1/status"), "{}", ended.err);
}

#[test]
fn an_answer_of_another_schema_is_refused() {
    let ended = StandIn::new(|_| Answer::text(200, r#"{"schema":2,"services":[]}"#)).balancer("service list");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("the document has schema 2, this program reads 1"), "{}", ended.err);
}

#[test]
fn an_answer_that_is_no_document_is_quoted() {
    let ended = StandIn::new(|_| Answer::text(502, "bad gateway\n")).balancer("status");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("GET /v1/status") && ended.err.contains("bad gateway"), "{}", ended.err);
}

#[test]
fn detach_without_an_agent_asks_where_the_objects_are() {
    let ended = run(Screen::default(), "--api /nonexistent/api.sock detach --yes");
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("--config FILE or --bpffs DIR"), "{}", ended.err);
}

#[test]
fn detach_without_an_agent_wants_a_yes() {
    let ended = run(Screen::default(), "--api /nonexistent/api.sock detach --bpffs /nonexistent/bpf");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("say --yes"), "{}", ended.err);
}

#[test]
fn detach_without_an_agent_finds_the_objects_by_the_file() {
    let ended = run(Screen::default(), "--api /nonexistent/api.sock detach --yes -c /nonexistent/b.toml");
    assert_eq!(ended.code, 5);
    assert!(ended.err.starts_with("/nonexistent/b.toml: cannot be read"), "{}", ended.err);
}

#[test]
fn detach_without_an_agent_and_without_objects_is_done() {
    let ended = run(Screen::default(), "--api /nonexistent/api.sock detach --yes --bpffs /nonexistent/bpf");
    assert_eq!((ended.code, ended.err.as_str()), (0, "nothing was there\n"));
}

/// A reader that has gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let agent = StandIn::with(&three());
    for format in [Format::Table, Format::Json] {
        let socket = agent.socket();
        let words = ["balancer", "--api", socket.to_str().unwrap(), "backend", "list", "ws"];
        let mut err = Vec::new();
        let cli = Cli::try_parse_from(words).unwrap();
        let code = execute(cli, &mut Ui::new(&mut Closed, &mut err, Screen::default(), format));
        assert_eq!((code, String::from_utf8(err).unwrap().as_str()), (0, ""));
    }
}
