//! What the reader sees, letter by letter.

use serde::Serialize;
use serde_json::Value;

use super::{
    documents::*,
    standin::{Ended, StandIn},
};
use crate::{
    api::types::{Schema, ServicesDoc},
    cli::screen::Screen,
};

const NARROW: Screen = Screen { width: Some(60), color: false, live: true };

/// Runs a command in a pipe, its answer a document; what it wrote.
fn piped(document: &impl Serialize, command: &str) -> String {
    let Ended { code, out, .. } = StandIn::with(document).balancer(command);
    assert_eq!(code, 0);
    out
}

fn check(out: &str, expected: &str) {
    assert_eq!(out, expected.trim_start_matches('\n'), "\n{out}");
}

#[test]
fn backend_list() {
    check(&piped(&three(), "backend list ws"), "");
}

#[test]
fn backend_list_wide() {
    check(&piped(&three(), "backend list ws -o wide"), "");
}

#[test]
fn service_list() {
    let document = ServicesDoc { schema: Schema, services: vec![service()] };
    check(&piped(&document, "service list -o wide"), "");
}

#[test]
fn service_show() {
    check(&piped(&service_detail(), "service show ws"), "");
}

#[test]
fn status_tells_drift_and_leaves_reasons_to_wide() {
    check(&piped(&status(), "status"), "");
}

#[test]
fn status_wide_shows_the_reasons_that_are_not_zero() {
    let out = piped(&status(), "status -o wide");
    assert!(out.ends_with("\nREASON  PACKETS\nflow      99000\n"), "{out}");
}

#[test]
fn flow_list() {
    check(&piped(&flows(), "flow list"), "");
}

#[test]
fn pin_list() {
    check(&piped(&pins(), "pin list"), "");
}

#[test]
fn explain() {
    check(&piped(&[explanation()], "explain 198.51.100.7 203.0.113.10:443/tcp"), "");
}

#[test]
fn a_narrow_terminal_gets_fewer_columns_in_whole_lines() {
    let out = StandIn::with(&three()).balancer_on(NARROW, "backend list ws").out;
    check(&out, "");
}

#[test]
fn a_column_that_cannot_be_spared_is_wrapped() {
    let out = StandIn::with(&[explanation()])
        .balancer_on(Screen { width: Some(20), ..NARROW }, "explain 198.51.100.7 203.0.113.10:443/tcp")
        .out;
    assert!(out.lines().all(|line| line.len() <= 20), "{out}");
    assert!(out.contains("ws-2"), "{out}");
}

#[test]
fn colours_only_where_the_screen_takes_them() {
    let list = |color| {
        let screen = Screen { width: Some(200), color, live: true };
        StandIn::with(&three()).balancer_on(screen, "backend list ws").out
    };
    assert!(list(true).contains("\u{1b}["));
    assert!(!list(false).contains('\u{1b}'));
}

#[test]
fn an_empty_list_is_its_header() {
    check(
        &piped(&backends(vec![]), "backend list ws"),
        "
NAME  ADDRESS  WEIGHT  ADMIN  HEALTH  FLOWS  SHARE  PINS
",
    );
}

#[test]
fn json_is_the_document_of_the_api() {
    for format in ["-j", "-o json"] {
        let out = piped(&three(), &format!("backend list ws {format}"));
        let printed: Value = serde_json::from_str(&out).unwrap();
        let sent = serde_json::to_value(three()).unwrap();
        assert_eq!(printed, sent);
    }
}

#[test]
fn json_has_the_fields_of_the_contract() {
    let fields = |value: Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let row = serde_json::to_value(&three().backends[1]).unwrap();
    assert_eq!(
        (&row["admin"], &row["health"], &row["remaining"]),
        (&"drain".into(), &"up".into(), &7.into())
    );
    for field in
        "name address port weight admin health since flows flows_total share pins packets bytes resets door \
                  last_error number remaining"
            .split_whitespace()
    {
        assert!(fields(row.clone()).contains(&field.to_owned()), "{field}");
    }
    let explained = fields(serde_json::to_value(explanation()).unwrap());
    for field in "schema client destination service backend by reason steps maglev_backend".split_whitespace()
    {
        assert!(explained.contains(&field.to_owned()), "{field}");
    }
    assert_eq!(serde_json::to_value(status()).unwrap()["schema"], 1);
}

#[test]
fn explain_prints_one_document_not_a_list() {
    let out = piped(&[explanation()], "explain 198.51.100.7 203.0.113.10:443/tcp -j");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["maglev_backend"], "ws-2");
}

#[test]
fn a_cut_list_is_told_on_stderr() {
    let ended = StandIn::with(&flows()).balancer("flow list --limit 1 -j");
    assert_eq!(ended.err, "cut after 1 rows: --limit 0 shows all\n");
}
