use super::*;
use crate::{api::types::ReloadRequest, net::ssh::SshSession};

fn reload(bench: &mut Bench, request: ReloadRequest) -> Result<crate::api::types::ReloadDoc, ApiError> {
    let prepared = bench.control.prepare(request, None)?;
    assert!(!prepared.needs_new_maps());
    bench.control.apply(prepared)
}

#[test]
fn a_reload_applies_the_difference_and_tells_it() {
    let mut bench = Bench::new(&two_backends());
    let old = two_backends();
    bench.rewrite(&old.replace("address = \"10.0.0.1\"", "address = \"10.0.0.1\"\nweight = 50"));
    let document = reload(&mut bench, ReloadRequest::default()).unwrap();
    let change = &document.changes[0];
    let shown = (&*change.object, &*change.key, change.from.as_deref(), change.to.as_deref());
    assert_eq!(shown, ("service \"ws\" backend \"ws-1\"", "weight", Some("100"), Some("50")));
    assert_eq!(bench.row("ws-1").weight, 50);
    assert!(reload(&mut bench, ReloadRequest::default()).unwrap().changes.is_empty());
}

#[test]
fn a_bad_file_changes_nothing() {
    let mut bench = Bench::new(&two_backends());
    bench.rewrite("schema = 1\n[agent]\ninterfaces = 7\n");
    let error = reload(&mut bench, ReloadRequest::default()).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidConfig);
    assert!(error.message.contains("balancer.toml:3:"), "{error}");
    bench.control.note_reload(Err(&error));
    assert_eq!(bench.control.status_doc().last_reload.map(|it| it.ok), Some(false));
    assert_eq!(bench.rows().len(), 2);
}

#[test]
fn a_runtime_change_stands_until_the_file_says_something_else_or_it_is_discarded() {
    let mut bench = Bench::new(&two_backends());
    bench.drain("ws-1").unwrap();
    reload(&mut bench, ReloadRequest::default()).unwrap();
    assert_eq!(bench.row("ws-1").admin, Admin::Drain);
    let request = ReloadRequest { discard_runtime: true, yes: false };
    let document = reload(&mut bench, request).unwrap();
    assert_eq!(document.changes[0].from.as_deref(), Some("drain"));
    assert_eq!(document.changes[0].to.as_deref(), Some("ready"));
    assert_eq!(bench.row("ws-1").admin, Admin::Ready);
    bench.drain("ws-1").unwrap();
    bench.rewrite(
        &two_backends().replace("address = \"10.0.0.1\"", "address = \"10.0.0.1\"\nstate = \"maint\""),
    );
    let document = reload(&mut bench, ReloadRequest::default()).unwrap();
    assert_eq!(document.changes.len(), 1, "one row a key: {:?}", document.changes);
    let change = &document.changes[0];
    assert_eq!((change.from.as_deref(), change.to.as_deref()), (Some("drain"), Some("maint")));
    assert_eq!(bench.row("ws-1").admin, Admin::Maint);
    assert!(bench.control.status_doc().drift.is_empty());
}

#[test]
fn what_needs_a_restart_is_refused_whole() {
    let mut bench = Bench::new(&two_backends());
    let text = two_backends().replace("\"eth0\"", "\"eth1\"").replace("10.0.0.2", "10.0.0.7");
    bench.rewrite(&text);
    let error = reload(&mut bench, ReloadRequest { discard_runtime: false, yes: true }).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(error.message.contains("needs a restart of the agent"), "{error}");
    assert_eq!(bench.row("ws-2").addresses[0].to_string(), "10.0.0.2");
}

#[test]
fn what_needs_new_maps_names_the_cost_and_wants_yes() {
    let bench = Bench::new(&two_backends());
    bench.connect(1).unwrap();
    bench.rewrite(&two_backends().replace("flows = 1000", "flows = 2000"));
    let error = bench.control.prepare(ReloadRequest::default(), None).unwrap_err();
    assert_eq!(error.code, ErrorCode::NeedsYes);
    assert!(error.message.contains("costs 1 flows"), "{error}");
    let request = ReloadRequest { discard_runtime: false, yes: true };
    let prepared = bench.control.prepare(request, None).unwrap();
    assert!(prepared.needs_new_maps());
    let Bench { directory: _directory, control } = bench;
    let remake = |_old, config: &Config| {
        let mut tables = Dataplane::in_memory(config::dimensions(config), SEED);
        tables.set_interfaces(&[(3, [2, 0, 0, 0, 0, 0xff])])?;
        Ok((tables, SEED))
    };
    let (control, _document) = control.apply_over(prepared, remake).unwrap();
    assert_eq!(control.tables.dimensions().flows, 2000);
    assert!(control.tables.connect(peer(1), vip()).is_some(), "neighbours and verdicts are still known");
    let rows = control.backends_doc("ws").unwrap().backends;
    assert!(rows.iter().all(|row| row.health == Health::Up));
}

#[test]
fn a_service_on_the_operators_ssh_session_is_refused() {
    let bench = Bench::new(&two_backends());
    let session = SshSession::parse("192.0.2.1 50000 203.0.113.12 22");
    bench.rewrite(&(two_backends() + &service("ssh", "203.0.113.12", 1).replace(":443", ":22")));
    let error = bench.control.prepare(ReloadRequest::default(), session).unwrap_err();
    assert_eq!(error.code, ErrorCode::NeedsYes, "{error}");
    assert!(error.message.contains("the SSH session from 192.0.2.1:50000"), "{error}");
    bench.control.prepare(ReloadRequest::default(), None).unwrap();
}
