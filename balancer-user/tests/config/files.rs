//! Every file beside this one gets the verdict that it should.

use std::{fs, path::Path};

use balancer_user::config::{self, Problem};

use crate::{WHOLE, files_of};

fn expected(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("#! ")).map(str::to_owned).collect()
}

fn shown(path: &Path, problems: &[Problem]) -> Vec<String> {
    let file = format!("{}:", path.display());
    problems.iter().map(|problem| problem.to_string().strip_prefix(&file).unwrap().to_owned()).collect()
}

#[test]
fn every_problem_of_a_broken_file_has_its_place_and_remedy() {
    let files = files_of("broken");
    assert!(files.len() >= 20);
    for path in files {
        let problems = config::load(&path).expect_err(&format!("{} is taken", path.display())).0;
        assert!(problems.iter().all(|problem| !problem.remedy.is_empty()));
        assert_eq!(shown(&path, &problems), expected(&path), "{}", path.display());
    }
}

#[test]
fn good_files_draw_no_word() {
    for path in files_of("good") {
        let loaded = config::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(loaded.warnings, [], "{}", path.display());
    }
}

#[test]
fn warned_files_are_taken_and_their_warnings_have_place_and_remedy() {
    for path in files_of("warned") {
        let warnings = config::load(&path).unwrap_or_else(|problems| panic!("{problems}")).warnings;
        assert_eq!(shown(&path, &warnings), expected(&path), "{}", path.display());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let path = Path::new("/nonexistent/balancer.toml");
    let problems = config::load(path).unwrap_err().to_string();
    assert!(problems.starts_with("/nonexistent/balancer.toml: cannot be read: No such file"), "{problems}");
    let problems = config::load(Path::new("/")).unwrap_err().to_string();
    assert!(problems.starts_with("/: cannot be read: Is a directory"), "{problems}");
}

#[test]
fn a_device_is_not_read_for_ever() {
    let problems = config::load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert_eq!(
        problems,
        "/dev/zero: cannot be read: it has more than 16 MiB; name another file with -c, or make it readable"
    );
}

#[test]
fn what_is_not_utf8_has_its_place() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), b"schema = 1\n# \xc3\xa9 \xff\n").unwrap();
    let problems = config::load(file.path()).unwrap_err().to_string();
    assert_eq!(problems, format!("{}:2:5: this is not UTF-8; save the file as UTF-8", file.path().display()));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let problems = config::parse("\u{feff}shema = 1\n", "f").unwrap_err();
    let problem = problems.0.iter().find(|problem| problem.message.contains("shema")).unwrap();
    assert_eq!((problem.line, problem.column), (1, 1));
}

#[test]
fn the_footprint_follows_limits_and_services() {
    let mut config = config::parse(WHOLE, "whole").unwrap().config;
    let one = config::footprint(&config);
    let entries = u64::from(config.limits.flows);
    assert!(one.flows <= entries * (48 + 72), "{one:?}");
    config.limits.flows *= 2;
    config.limits.pins *= 2;
    let two = config::footprint(&config);
    assert!(two.flows.abs_diff(2 * one.flows) < 4_096 && two.pins.abs_diff(2 * one.pins) < 4_096);
    assert_eq!(two.total(), two.flows + two.pins + two.maglev + two.nat + two.fixed);
    // Three tables of two bytes a slot, in lines of 64 bytes.
    let slots = config.services.pop().unwrap().maglev_size;
    let fewer = config::footprint(&config);
    assert_eq!(two.maglev - fewer.maglev, 3 * (2 * u64::from(slots)).next_multiple_of(64));
}

#[test]
fn more_than_a_host_can_number_is_refused() {
    let mut text = "schema = 1\n[agent]\ninterfaces = [\"eth0\"]\n".to_owned();
    for n in 0..=config::MAX_SERVICES {
        let [high, low] = (n as u16).to_be_bytes();
        text += &format!("[[service]]\nname = \"s{n}\"\nlisten = [");
        (0..5).for_each(|port| text += &format!("\"192.0.{high}.{low}:{}/tcp\", ", 1 + port));
        text += "]\n";
        for b in 0..5 {
            text += &format!("[[service.backend]]\nname = \"b{b}\"\naddress = \"10.{b}.{high}.{low}\"\n");
        }
    }
    let problems = config::parse(&text, "f").unwrap_err().to_string();
    assert_eq!(
        problems,
        "f:7368:53: 5120 listeners are too many; use at most 2047 on one host\n\
         f:14749:1: 5120 backends are too many; use at most 4095 on one host\n\
         f:18418:1: 1024 services are too many; use at most 1023 on one host"
    );
}

/// The problems of the least file with a service in this mode, on a host with these ports of its own.
fn on_host(mode: &str, nat_ports: &str, first: u16, last: u16) -> Vec<String> {
    let least = include_str!("good/least.toml");
    let text = least.replace("[[service.backend]]", &format!("{mode}\n[[service.backend]]"));
    let text = format!("{text}\n[limits]\nnat_ports = {nat_ports:?}\n");
    let host = config::Host { local_ports: Some(config::PortRange { first, last }) };
    let problems = config::parse_on(&host, &text, "f").err().map_or_else(Vec::new, |problems| problems.0);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn ports_that_the_host_gives_its_own_connections_are_no_translated_ones() {
    let pool = "mode = \"nat\"";
    assert_eq!(on_host(pool, "1024-32767", 32_768, 60_999), [""; 0]);
    assert_eq!(
        on_host(pool, "1024-32768", 32_768, 60_999),
        [
            "f:16:13: nat_ports 1024-32768 meet the ports that this host gives its own connections, 32768-60999; let \
             them end below 32768, or move net.ipv4.ip_local_port_range"
        ]
    );
    assert_eq!(on_host(pool, "61000-65535", 1024, 60_999), [""; 0]);
    assert_eq!(on_host(pool, "60000-65535", 1024, 60_999).len(), 1);
    for unasked in ["mode = \"ipip\"", "mode = \"nat\"\nsource = \"keep\""] {
        assert_eq!(on_host(unasked, "1024-65535", 32_768, 60_999), [""; 0]);
    }
}
