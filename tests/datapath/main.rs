//! Packets through the loaded program, by `BPF_PROG_TEST_RUN`.

mod fixture;
mod flows;

use libtest_mimic::{Arguments, Failed, Trial};

macro_rules! trials {
    ($($module:ident::$test:ident),* $(,)?) => {
        vec![$(Trial::test(concat!(stringify!($module), "::", stringify!($test)), || {
            $module::$test().map_err(|error| Failed::from(format!("{error:?}")))
        })),*]
    };
}

fn main() {
    let arguments = Arguments::from_args();
    let privileged = nix::unistd::geteuid().is_root();
    let required = std::env::var_os("BALANCER_REQUIRE_PRIVILEGED").is_some();
    let trials = trials![
        flows::a_syn_makes_neither_a_flow_nor_a_pin,
        flows::a_fitting_ack_makes_the_flow_and_the_pin,
        flows::an_ack_beyond_the_window_makes_nothing,
        flows::a_forged_ack_alone_makes_nothing_and_a_second_fitting_one_a_flow,
        flows::the_third_datagram_makes_a_flow,
        flows::a_flow_stays_where_it_is_when_the_table_changes,
        flows::six_first_connections_at_once_agree,
        flows::a_fin_closes_and_the_last_ack_does_not_revive,
        flows::a_forged_fin_or_rst_costs_nothing,
        flows::a_syn_on_an_established_flow_changes_nothing,
        flows::a_new_connection_replaces_a_closing_flow,
        flows::a_flow_on_a_dead_backend_is_rehashed_and_its_client_pinned_anew,
        flows::a_client_that_a_failure_moved_stays_although_its_backend_returned_before_the_flow_was_made,
        flows::a_draining_backend_keeps_its_flows_and_gets_no_new_connection_of_a_pinned_client,
        flows::a_backend_that_is_being_checked_keeps_its_pins,
        flows::nobody_to_serve_is_a_counted_drop,
        flows::ports_of_a_wildcard_listener_are_different_flows,
    ];
    let trials = trials.into_iter().map(|trial| trial.with_ignored_flag(!privileged && !required));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
