//! `backend drain --wait`: what it shows and how it ends.

use balancer_common::state::{Admin, Health};

use super::{
    documents::*,
    standin::{Answer, Ended, StandIn},
};
use crate::{
    api::types::{BackendDoc, BackendRow},
    cli::screen::Screen,
};

/// Bounded, so that a wait that never ends fails its test.
const WAIT: &str = "backend drain ws ws-1 --wait --timeout 20s";

/// An agent that shows one row after the other, and the last one from then on.
fn draining(rows: Vec<Vec<BackendRow>>) -> StandIn {
    let mut rows = rows.into_iter().peekable();
    StandIn::new(move |request| {
        if request.starts_with("PUT") {
            return Answer::document(&one(left(9)));
        }
        let now = rows.peek().cloned().unwrap();
        if rows.len() > 1 {
            rows.next();
        }
        Answer::document(&backends(now))
    })
}

fn left(flows: u64) -> BackendRow {
    backend("ws-1", Admin::Drain, Health::Up, flows)
}

#[test]
fn ends_with_0_when_no_flow_is_left() {
    let Ended { code, out, err } =
        draining(vec![vec![left(2)], vec![left(2)], vec![left(1)], vec![left(0)]]).balancer(WAIT);
    assert_eq!((code, out.as_str()), (0, ""));
    assert_eq!(
        err,
        "2 flows left\n1 flow left\nservice \"ws\": backend \"ws-1\" has no flow left: safe to stop\n"
    );
}

#[test]
fn rewrites_one_line_on_a_terminal() {
    let screen = Screen { live: true, ..Screen::default() };
    let ended = draining(vec![vec![left(2)], vec![left(1)], vec![left(0)]]).balancer_on(screen, WAIT);
    assert!(
        ended.err.starts_with("\r\u{1b}[2K2 flows left\r\u{1b}[2K1 flow left\nservice"),
        "{:?}",
        ended.err
    );
}

#[test]
fn prints_the_backend_as_json_at_the_end() {
    let ended = draining(vec![vec![left(1)], vec![left(0)]]).balancer("backend drain ws ws-1 --wait -j");
    let document: BackendDoc = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((document.backend.remaining, document.backend.admin), (Some(0), Admin::Drain));
}

#[test]
fn ends_with_6_when_flows_are_left_at_the_timeout() {
    let ended = draining(vec![vec![left(3)]]).balancer("backend drain ws ws-1 --wait --timeout 700ms");
    assert_eq!(ended.code, 6);
    assert_eq!(
        ended.err,
        "3 flows left\nerror: service \"ws\": backend \"ws-1\" has 3 flows left after 700ms\n  \
         the drain stays on; `balancer backend ready ws ws-1` undoes it\n"
    );
}

#[test]
fn ends_with_6_when_flows_were_cut() {
    for (row, why) in [
        (vec![backend("ws-1", Admin::Maint, Health::Up, 0)], "was set to maint while it had 3 flows"),
        (vec![backend("ws-1", Admin::Drain, Health::Down, 3)], "went down while it had 3 flows"),
        (vec![], "was deleted while it had 3 flows"),
    ] {
        let ended = draining(vec![vec![left(3)], row]).balancer(WAIT);
        assert_eq!(ended.code, 6, "{why}");
        assert!(ended.err.contains(why), "{}", ended.err);
    }
}

#[test]
fn a_backend_that_goes_down_after_its_last_flow_is_no_loss() {
    let down = backend("ws-1", Admin::Drain, Health::Down, 0);
    assert_eq!(draining(vec![vec![left(3)], vec![down]]).balancer(WAIT).code, 0);
}

#[test]
fn a_drain_that_somebody_ends_is_a_failure() {
    let ended =
        draining(vec![vec![left(3)], vec![backend("ws-1", Admin::Ready, Health::Up, 3)]]).balancer(WAIT);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("was made ready by somebody else"), "{}", ended.err);
}
