//! What each verb asks of the agent, and what it tells the operator.

use balancer_common::state::{Admin, Health};
use serde::Serialize;

use super::{
    documents::*,
    standin::{Answer, Ended, StandIn},
};
use crate::api::types::{ChangeRow, DetachDoc, FlowCountDoc, FlowCountRow, ReleaseDoc, ReloadDoc, Schema};

/// The one request of a command that was answered with `document`.
fn asked(document: &impl Serialize, command: &str) -> String {
    let agent = StandIn::with(document);
    assert_eq!(agent.balancer(command).code, 0, "{command}");
    let [request] = &agent.requests()[..] else { panic!("{command}: {:?}", agent.requests()) };
    request.clone()
}

#[test]
fn verbs_on_a_backend_ask_what_they_say() {
    let ready = one(backend("ws-1", Admin::Ready, Health::Up, 0));
    for (command, request) in [
        (
            "backend add ws ws-5 10.0.1.14 2001:db8::14 --weight 50",
            r#"POST /v1/services/ws/backends {"name":"ws-5","addresses":["10.0.1.14","2001:db8::14"],"weight":50}"#,
        ),
        (
            "backend add ws ws-5 10.0.1.14",
            r#"POST /v1/services/ws/backends {"name":"ws-5","addresses":["10.0.1.14"],"weight":null}"#,
        ),
        ("backend del ws ws-1 --now", "DELETE /v1/services/ws/backends/ws-1?now=true&force=false"),
        (
            "backend ready ws ws-1",
            r#"PUT /v1/services/ws/backends/ws-1/admin {"admin":"ready","force":false,"yes":false}"#,
        ),
        (
            "backend drain ws ws-1 --force",
            r#"PUT /v1/services/ws/backends/ws-1/admin {"admin":"drain","force":true,"yes":false}"#,
        ),
        (
            "backend maint ws ws-1 --yes",
            r#"PUT /v1/services/ws/backends/ws-1/admin {"admin":"maint","force":false,"yes":true}"#,
        ),
        (
            "backend weight ws ws-1 7",
            r#"PUT /v1/services/ws/backends/ws-1/weight {"weight":7,"force":false}"#,
        ),
    ] {
        assert_eq!(asked(&ready, command), request);
    }
}

#[test]
fn lists_are_narrowed_by_the_agent() {
    assert_eq!(
        asked(&flows(), "flow list ws --backend ws-1 --client 198.51.100.77/24"),
        "GET /v1/flows?service=ws&backend=ws-1&client=198.51.100.0%2F24&limit=1000"
    );
    assert_eq!(asked(&pins(), "pin list --limit 0"), "GET /v1/pins?limit=0");
}

#[test]
fn a_pin_is_found_by_its_client() {
    assert_eq!(asked(&pins(), "pin get ws 2001:db8::/64"), "GET /v1/pins/ws/2001:db8::%2F64");
    assert_eq!(asked(&pins(), "pin del ws 198.51.100.7"), "DELETE /v1/pins/ws/198.51.100.7");
}

#[test]
fn a_release_of_idle_pins_says_how_many() {
    let document = ReleaseDoc { schema: Schema, service: "ws".into(), released: 412, kept: 1 };
    let agent = StandIn::with(&document);
    let ended = agent.balancer("pin release ws --idle");
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    let said = "service \"ws\": 412 idle pins released; 1 pin of clients with live flows kept\n";
    assert_eq!(ended.err, said);
    assert_eq!(agent.requests(), ["DELETE /v1/pins/ws?idle=true"]);
}

#[test]
fn explain_asks_one_question() {
    assert_eq!(
        asked(&[explanation()], "explain [2001:db8::7]:40123 [2001:db8::10]:443/udp"),
        "POST /v1/explain {\"source\":\"2001:db8::7\",\"source_port\":40123,\"destination\":\"2001:db8::10\",\
         \"port\":443,\"proto\":\"udp\"}"
    );
}

#[test]
fn a_verb_reports_on_stderr_and_its_notes_too() {
    let mut document = one(backend("ws-1", Admin::Drain, Health::Up, 1));
    document.notes.push("2 backends stay ready".into());
    let agent = StandIn::with(&document);
    let Ended { code, out, err } = agent.balancer("backend drain ws ws-1");
    assert_eq!((code, out.as_str()), (0, ""));
    assert_eq!(
        err,
        "note: 2 backends stay ready\nservice \"ws\": backend \"ws-1\" is drain, up, weight 100, 1 live flow\n"
    );
    assert_eq!(serde_json::from_str(&agent.balancer("backend drain ws ws-1 -j").out).ok(), Some(document));
}

#[test]
fn reload_prints_the_diff() {
    let document = ReloadDoc {
        schema: Schema,
        changes: vec![ChangeRow {
            object: "service \"ws\" backend \"ws-4\"".into(),
            key: "added".into(),
            from: None,
            to: Some("10.0.1.13".into()),
        }],
        warnings: vec!["f:3:1: warning: maglev_size is under 100 x the backends".into()],
    };
    let agent = StandIn::with(&document);
    let ended = agent.balancer("reload --discard-runtime");
    assert_eq!(
        ended.out,
        "OBJECT                       KEY    BEFORE  AFTER\n\
         service \"ws\" backend \"ws-4\"  added  -       10.0.1.13\n"
    );
    assert_eq!(ended.err, "f:3:1: warning: maglev_size is under 100 x the backends\n");
    assert_eq!(agent.requests(), [r#"POST /v1/reload {"discard_runtime":true,"yes":false}"#]);
}

#[test]
fn a_reload_without_a_change_says_so() {
    let document = ReloadDoc { schema: Schema, changes: vec![], warnings: vec![] };
    let ended = StandIn::with(&document).balancer("reload");
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, "", "nothing changed\n"));
}

#[test]
fn flow_count_of_one_service_sums_its_backends() {
    let row = |service: &str, backend: &str, flows| FlowCountRow {
        service: service.into(),
        backend: backend.into(),
        flows,
    };
    let counts = vec![row("ws", "ws-1", 3), row("ws", "ws-2", 4), row("quic", "q-1", 5)];
    let agent = StandIn::with(&FlowCountDoc { schema: Schema, flows: 12, counts });
    assert_eq!(
        agent.balancer("flow count ws").out,
        "SERVICE  BACKEND  FLOWS\nws       ws-1         3\nws       ws-2         4\ntotal                 7\n"
    );
    assert_eq!(agent.balancer("flow count mqtt").code, 3);
}

fn detachable(flows: u64) -> StandIn {
    StandIn::new(move |request| {
        if request.starts_with("GET") {
            let mut status = status();
            status.flows = flows;
            return Answer::document(&status);
        }
        Answer::document(&DetachDoc { schema: Schema, removed: vec!["XDP program of eth0".into()] })
    })
}

#[test]
fn detach_with_live_flows_wants_a_yes() {
    let agent = detachable(12);
    let ended = agent.balancer("detach");
    assert_eq!(ended.code, 1);
    assert_eq!(ended.err, "error: 12 live flows would lose the backend\n  drain first, or say --yes\n");
    assert_eq!(agent.requests(), ["GET /v1/status"]);
    assert_eq!(agent.balancer("detach --yes").err, "XDP program of eth0\n");
}

#[test]
fn detach_without_flows_just_does_it() {
    assert_eq!(detachable(0).balancer("detach").code, 0);
}
