//! `backend drain --wait`: what it shows and how it ends.

use std::time::{Duration, SystemTime};

use balancer_common::state::{Admin, Health};
use indicatif::{InMemoryTerm, TermLike as _};

use super::{
    documents::*,
    standin::{Answer, Ended, StandIn},
};
use crate::{
    api::types::{ApiError, BackendDoc, BackendRow, ErrorCode},
    cli::{
        progress::{Progress, Then},
        screen::{Format, Screen},
        ui::Ui,
    },
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

/// What a terminal of so many columns shows after these bytes.
fn screen(columns: u16, bytes: &str) -> String {
    let terminal = InMemoryTerm::new(10, columns);
    // A terminal driver sends a carriage return with each newline.
    terminal.write_str(&bytes.replace('\n', "\r\n")).unwrap();
    terminal.contents()
}

/// What a terminal shows after each look of a wait that has so many flows left then, and when it is over.
fn shown(columns: fn() -> u16, start: u64, looks: &[u64], then: &Then) -> (Vec<String>, String) {
    let (mut out, mut bytes) = (Vec::new(), Vec::new());
    let live = Screen { live: Some(columns), ..Screen::default() };
    let begin = Ui::new(&mut out, &mut bytes, live, Format::Table);
    let mut progress = Progress::new(&begin, start);
    let (mut sofar, mut frames) = (String::new(), Vec::new());
    for left in looks {
        let mut bytes = Vec::new();
        progress.show(&mut Ui::new(&mut out, &mut bytes, live, Format::Table), *left, then).unwrap();
        sofar += std::str::from_utf8(&bytes).unwrap();
        frames.push(screen(columns(), &sofar));
    }
    // The terminal's own echo of what ended it.
    sofar += "^C";
    let mut bytes = Vec::new();
    let mut ui = Ui::new(&mut out, &mut bytes, live, Format::Table);
    progress.clear(&mut ui).unwrap();
    ui.talk("over").unwrap();
    sofar += std::str::from_utf8(&bytes).unwrap();
    assert!(!sofar.split('\u{1b}').skip(1).any(sgr), "colours: {sofar:?}");
    (frames, screen(columns(), &sofar))
}

/// Whether a control sequence begins here that sets a colour.
fn sgr(sequence: &str) -> bool {
    sequence.trim_start_matches(|it: char| it == '[' || it == ';' || it.is_ascii_digit()).starts_with('m')
}

fn in_an_hour() -> Then {
    Then::ResetAt(humantime::format_rfc3339(SystemTime::now() + Duration::from_secs(3_600)).to_string())
}

#[test]
fn a_terminal_shows_a_bar_that_is_gone_at_the_end() {
    let (frames, end) = shown(|| 72, 9, &[9, 3, 0], &in_an_hour());
    let [full, some, none] = &frames[..] else { panic!("{frames:?}") };
    assert!(full.starts_with("9 of 9 flows left [ ") && full.contains("] 0s, reset in 59m"), "{full:?}");
    assert!(some.starts_with("3 of 9 flows left [==="), "{some:?}");
    assert!(none.starts_with("0 of 9 flows left [====="), "{none:?}");
    let drawn = |frame: &str| frame.matches('=').count();
    assert!(drawn(full) < drawn(some) && drawn(some) < drawn(none), "{frames:#?}");
    assert_eq!(end, "over");
}

#[test]
fn a_bar_stays_on_one_line_of_a_narrow_terminal() {
    let columns: [fn() -> u16; 4] = [|| 40, || 20, || 8, || 1];
    for narrow in columns {
        for then in [in_an_hour(), Then::ResetAt("2020-01-01T00:00:00Z".into()), Then::Unheard, Then::End] {
            let (frames, end) = shown(narrow, 1_048_576, &[1_048_576, 77, 2_000_000], &then);
            assert!(frames.iter().all(|it| it.lines().count() <= 1), "{} columns: {frames:#?}", narrow());
            assert!(narrow() < 8 || end == "over", "{end:?}");
        }
    }
    let (frames, _) = shown(|| 40, 12, &[7], &in_an_hour());
    assert!(frames[0].starts_with("7/12 [==") && frames[0].contains("] 0s, reset in 59m"), "{frames:?}");
}

#[test]
fn a_bar_bears_more_flows_than_there_were_at_the_start() {
    let (frames, end) = shown(|| 72, 2, &[2, 5, 4], &Then::End);
    assert!(frames[1].starts_with("5 of 5 flows left [ "), "{frames:#?}");
    assert!(frames[2].starts_with("4 of 5 flows left [=="), "{frames:#?}");
    assert_eq!(end, "over");
}

#[test]
fn a_wait_on_a_terminal_leaves_its_last_word_alone() {
    let live = Screen { live: Some(|| 80), ..Screen::default() };
    let ended = draining(vec![vec![left(2)], vec![left(1)], vec![left(0)]]).balancer_on(live, WAIT);
    assert_eq!(ended.code, 0);
    let [two, one] = ["2 of 9 flows left [", "1 of 9 flows left ["].map(|it| ended.err.find(it));
    assert!(two.is_some() && two < one, "{:?}", ended.err);
    assert_eq!(screen(80, &ended.err), "service \"ws\": backend \"ws-1\" has no flow left: safe to stop");
}

#[test]
fn a_wait_that_fails_leaves_no_bar_behind() {
    let live = Screen { live: Some(|| 80), ..Screen::default() };
    let mut looks = 0;
    let agent = StandIn::new(move |request| {
        looks += usize::from(request.starts_with("GET"));
        match (request.starts_with("PUT"), looks) {
            (true, _) => Answer::document(&one(left(9))),
            (false, 1) => Answer::document(&backends(vec![left(9)])),
            (false, _) => Answer::error(ApiError::new(ErrorCode::Failed, "the tables are gone")),
        }
    });
    let ended = agent.balancer_on(live, WAIT);
    assert_eq!((ended.code, ended.err.contains("9 of 9 flows")), (1, true), "{:?}", ended.err);
    assert_eq!(screen(80, &ended.err), "error: the tables are gone");
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
