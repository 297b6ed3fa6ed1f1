use super::*;
use crate::control::testing::{backend, config, service};

/// A file with one service and one backend in this state and of this weight.
fn file(state: Admin, weight: u32) -> Config {
    config(vec![service("ws", vec![Backend { state, weight, ..backend("ws-1", 1) }])])
}

fn in_file(config: &Config) -> Option<&Backend> {
    config.services[0].backends.first()
}

#[test]
fn a_change_stands_until_its_opposite() {
    let file = file(Admin::Ready, 100);
    let mut runtime = Runtime::default();
    runtime.set_admin("ws", "ws-1", Admin::Drain, in_file(&file));
    runtime.set_weight("ws", "ws-1", 50, in_file(&file));
    assert!(runtime.of("ws", "ws-1").is_some_and(|it| it.admin.is_some() && it.weight.is_some()));
    runtime.set_admin("ws", "ws-1", Admin::Ready, in_file(&file));
    runtime.set_weight("ws", "ws-1", 100, in_file(&file));
    assert!(runtime.is_empty());
}

#[test]
fn a_change_of_the_same_key_in_the_file_wins() {
    let before = file(Admin::Ready, 100);
    let mut runtime = Runtime::default();
    runtime.set_admin("ws", "ws-1", Admin::Drain, in_file(&before));
    runtime.set_weight("ws", "ws-1", 50, in_file(&before));
    assert!(runtime.give_way_to(&before).is_empty(), "an unchanged file overtakes nothing");
    let dropped = runtime.give_way_to(&file(Admin::Ready, 70));
    assert_eq!(dropped, ["service ws: backend ws-1: the file overtakes the runtime change of weight"]);
    let change = runtime.of("ws", "ws-1").unwrap();
    assert!(change.admin.is_some() && change.weight.is_none());
    runtime.give_way_to(&file(Admin::Maint, 70));
    assert!(runtime.is_empty());
}

#[test]
fn a_drained_addition_that_is_written_into_the_file_stays_drained() {
    let mut runtime = Runtime::default();
    runtime.add("ws", "ws-1", Added { addresses: vec!["10.0.0.1".parse().unwrap()], weight: 30 });
    runtime.set_admin("ws", "ws-1", Admin::Drain, None);
    runtime.give_way_to(&file(Admin::Ready, 100));
    let change = runtime.of("ws", "ws-1").unwrap();
    assert!(change.added.is_none());
    assert_eq!(change.admin.unwrap().value.0, Admin::Drain);
    runtime.give_way_to(&file(Admin::Ready, 100));
    assert!(runtime.of("ws", "ws-1").is_some());
    runtime.give_way_to(&file(Admin::Maint, 100));
    assert!(runtime.is_empty());
}

#[test]
fn what_leaves_the_file_takes_its_changes_along() {
    let file = file(Admin::Ready, 100);
    let mut runtime = Runtime::default();
    runtime.set_admin("ws", "ws-1", Admin::Drain, in_file(&file));
    runtime.give_way_to(&config(vec![service("ws", vec![])]));
    assert!(runtime.is_empty());
    runtime.add("ws", "ws-5", Added { addresses: vec![], weight: 1 });
    runtime.set_admin("ws", "ws-5", Admin::Drain, None);
    runtime.give_way_to(&config(vec![]));
    assert!(runtime.is_empty());
}

#[test]
fn a_deletion_of_the_files_backend_stands_and_an_addition_is_forgotten() {
    let file = file(Admin::Ready, 100);
    let mut runtime = Runtime::default();
    runtime.add("ws", "ws-5", Added { addresses: vec![], weight: 1 });
    runtime.delete("ws", "ws-5", None);
    assert!(runtime.is_empty());
    runtime.delete("ws", "ws-1", in_file(&file));
    runtime.give_way_to(&file);
    assert!(runtime.of("ws", "ws-1").unwrap().deleted);
    runtime.undelete("ws", "ws-1");
    assert!(runtime.is_empty());
}
