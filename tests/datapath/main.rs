//! Packets through the loaded program, by `BPF_PROG_TEST_RUN`.

mod addressing;
#[path = "../../balancer-common/tests/proofs/reading/answered.rs"]
mod answered;
mod echo;
mod fixture;
mod flows;
mod forwarding;
mod frames;
mod full;
mod icmp;
mod malformed;
mod nat;
mod nat_errors;
mod nat_strays;
mod nat_world;
mod object;
mod probes;
mod random;
mod resets;
mod too_big;
mod tunnel;
mod two_worlds;
mod unknown;
mod ways;
mod world;

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

/// Tests at once, unless the command line says otherwise.
const THREADS: usize = 6;

macro_rules! trials {
    ($($module:ident$(::$part:ident)+),* $(,)?) => {
        vec![$(Trial::test(concat!(stringify!($module), $("::", stringify!($part)),+), || {
            $module$(::$part)+().map_err(|error| Failed::from(format!("{error:?}")))
        })),*]
    };
}

fn trials() -> Vec<Trial> {
    trials![
        addressing::a_frame_for_another_mac_address_passes,
        addressing::a_frame_that_came_in_by_an_interface_that_is_not_ours_passes,
        addressing::what_is_for_no_service_address_passes,
        addressing::what_is_for_no_service_port_or_protocol_passes,
        addressing::arp_and_neighbour_discovery_pass,
        addressing::an_exact_port_beats_the_wildcard,
        addressing::affinity_by_connection_spreads_one_client_and_pins_nobody,
        addressing::affinity_by_client_keeps_every_connection_of_one_client_together,
        addressing::addresses_of_one_v6_prefix_share_a_pin_and_others_do_not,
        forwarding::only_the_mac_addresses_change,
        forwarding::a_forwarded_packet_is_counted_at_its_backend,
        forwarding::one_and_two_vlan_tags_are_kept,
        forwarding::three_vlan_tags_pass,
        forwarding::a_backend_whose_mac_address_is_not_known_gets_nothing,
        forwarding::a_backend_behind_another_interface_is_redirected_to,
        forwarding::a_backend_behind_an_interface_that_is_gone_gets_nothing,
        tunnel::all_four_pairs_of_versions_are_wrapped_as_the_rfcs_say,
        tunnel::ecn_and_dont_fragment_are_copied,
        tunnel::flows_spread_over_the_sources_and_each_keeps_its_own,
        tunnel::what_has_no_hop_left_is_not_sent_on,
        tunnel::a_packet_that_does_not_fit_is_answered_with_the_tunnels_mtu,
        tunnel::a_tunnel_without_a_way_gets_nothing,
        tunnel::a_packet_that_does_not_fit_the_other_interface_is_answered,
        nat::a_connection_is_translated_both_ways_and_keeps_its_port,
        nat::datagrams_are_translated_with_a_checksum_and_without,
        nat::tags_options_and_extension_headers_stay,
        nat::connections_to_one_backend_never_share_a_port,
        nat::a_port_of_nobody_is_refused_to_a_backend_and_others_pass,
        nat::where_no_port_is_left_a_new_connection_is_refused,
        nat::a_segment_of_an_unknown_connection_is_reset,
        nat::a_backend_that_resets_ends_the_flow,
        nat::a_forged_fin_costs_a_translated_flow_nothing,
        nat::both_sides_of_a_flow_that_is_reset_hear_of_it,
        nat::what_no_connection_holds_any_more_rests,
        nat::the_port_that_was_asked_stays_where_every_one_is_listened_on,
        nat::a_clients_address_is_kept_where_the_service_says_so,
        nat::a_datagram_flow_that_moves_gets_a_port_at_its_new_backend,
        nat::a_syn_and_its_answer_announce_no_more_than_the_clamp_allows,
        nat::a_packet_that_does_not_fit_is_answered_and_one_without_a_hop_dropped,
        nat_strays::a_port_of_one_protocol_is_nobodys_of_the_other,
        nat_strays::an_answer_is_its_whose_port_was_asked,
        nat_strays::a_rst_of_a_flow_that_finds_no_port_elsewhere_is_not_answered,
        nat_errors::an_error_of_the_network_towards_a_client_reaches_the_backend_translated,
        nat_errors::an_error_of_the_network_towards_a_backend_reaches_the_client_translated,
        nat_errors::errors_find_their_way_where_the_clients_address_is_kept,
        nat_errors::an_error_does_not_reach_a_backend_that_may_not_serve,
        nat_errors::an_error_about_nothing_that_is_translated_passes,
        echo::an_echo_request_is_answered_or_withheld_or_left_to_the_host,
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
        full::a_full_backend_takes_no_new_client_and_keeps_those_it_has,
        full::where_all_are_full_a_new_client_is_nobodys_and_a_pinned_one_comes_in,
        unknown::a_segment_of_an_unknown_connection_goes_by_the_clients_pin,
        unknown::a_segment_of_an_unknown_connection_goes_by_the_previous_table_where_the_current_may_not,
        unknown::an_embryonic_connection_whose_backend_fails_is_placed_anew,
        unknown::a_flow_is_fresh_until_a_packet_at_least_one_tick_later,
        icmp::an_error_about_a_known_flow_reaches_its_backend_and_writes_nothing,
        icmp::an_error_about_an_embryonic_connection_reaches_its_backend,
        icmp::an_error_about_an_unknown_flow_goes_by_the_clients_pin,
        icmp::an_error_about_an_unknown_client_goes_by_maglev_and_writes_nothing,
        icmp::an_error_that_quotes_a_packet_of_another_address_passes,
        icmp::echo_and_other_messages_pass,
        icmp::an_error_whose_quote_is_cut_before_the_ports_passes,
        icmp::what_pads_an_error_is_no_part_of_its_quote,
        icmp::an_error_about_no_service_port_or_protocol_passes,
        malformed::ipv4_options_of_every_length_are_skipped,
        malformed::an_ip_header_that_contradicts_itself_is_refused,
        malformed::an_ip_length_that_cannot_be_is_refused,
        malformed::a_tcp_header_that_contradicts_itself_is_refused,
        malformed::tcp_flags_that_no_connection_sends_are_refused,
        malformed::a_udp_header_that_contradicts_itself_is_refused,
        malformed::a_frame_that_is_cut_off_is_never_forwarded,
        malformed::what_pads_a_frame_is_no_part_of_the_packet,
        malformed::ipv6_extension_headers_are_skipped,
        malformed::an_extension_chain_that_is_too_long_or_cut_is_refused,
        malformed::fragments_are_refused_the_first_one_too,
        object::the_verifier_looks_at_no_more_instructions_than_the_budget,
        resets::a_segment_of_a_flow_on_a_dead_backend_is_answered_by_a_rst,
        resets::tags_options_and_extension_headers_are_no_hindrance,
        resets::a_rst_is_never_answered_and_confirms_that_the_client_knows,
        resets::a_segment_before_its_flows_turn_is_dropped,
        resets::a_flow_that_closes_loses_nothing_while_it_waits_for_its_turn,
        resets::a_syn_on_a_flow_that_is_reset_or_waits_for_it_is_a_new_connection,
        resets::what_is_no_tcp_flow_of_a_dead_backend_is_never_reset,
        resets::a_udp_flow_on_a_dead_backend_chooses_again,
        resets::a_udp_flow_of_a_backend_that_returns_does_not_lead_its_client_back,
        resets::the_agent_resets_a_silent_flow_with_an_ack_that_is_a_thousand_too_low,
        resets::the_agent_waits_for_the_turn_of_a_flow_and_lets_go_of_one_that_is_served_again,
        resets::an_address_of_every_port_is_reset_from_the_port_that_was_asked,
        resets::where_nobody_can_serve_a_syn_is_refused_or_dropped_as_the_service_says,
        resets::where_nobody_can_serve_a_datagram_is_answered_now_and_then,
        resets::a_flow_that_has_run_out_is_reset_where_the_service_says_so,
        probes::a_check_leaves_for_the_service_and_its_answer_comes_from_the_backend,
        probes::a_check_in_a_tunnel_leaves_in_an_outer_header,
        probes::a_translated_check_leaves_from_a_source_and_its_answer_comes_to_this_host,
        probes::what_no_check_sends_or_asked_for_is_let_go,
        probes::what_a_check_sends_after_its_end_does_not_reach_the_backends_own_address,
        two_worlds::kernel_and_host_treat_random_packets_alike,
    ]
}

/// Those that only read the object.
fn unprivileged() -> Vec<Trial> {
    trials![
        object::calls::the_path_of_a_known_flow_calls_no_helper_that_is_not_inlined,
        object::calls::every_map_is_of_a_kind_whose_look_up_is_inlined,
        object::calls::the_entry_program_calls_the_steps_and_no_other_function,
        object::loads::a_field_of_more_than_one_byte_is_read_whole,
    ]
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Loading mostly waits: for the kernel's clock, and for readers to leave the tables.
    arguments.test_threads.get_or_insert(THREADS);
    let privileged = nix::unistd::geteuid().is_root();
    let required = std::env::var_os("BALANCER_REQUIRE_PRIVILEGED").is_some();
    let trials = trials().into_iter().map(|trial| trial.with_ignored_flag(!privileged && !required));
    let conclusion = libtest_mimic::run(&arguments, trials.chain(unprivileged()).collect());
    match fixture::aborts() {
        0 => conclusion.exit_code(),
        aborts => {
            eprintln!("the program returned XDP_ABORTED for {aborts} frames, and must never");
            ExitCode::FAILURE
        }
    }
}
