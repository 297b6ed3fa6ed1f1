//! The verbs `check` and `config example`.

use std::{fs, path::Path};

use balancer_user::cli::{check, config as config_verb};

use crate::files_of;

/// Exit code, stdout and stderr.
fn check(path: &Path, verbose: bool) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = check::CheckArgs { verbose, config: path.to_owned() };
    let code = check::run(&args, &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn check_of_a_good_file_is_silent() {
    for path in files_of("good") {
        assert_eq!(check(&path, false), (0, String::new(), String::new()));
    }
}

#[test]
fn check_of_a_broken_file_exits_5_and_speaks_on_stderr_alone() {
    for path in files_of("broken") {
        let (code, out, err) = check(&path, true);
        assert_eq!((code, out.as_str()), (5, ""));
        assert!(err.lines().all(|line| line.starts_with(&format!("{}:", path.display()))), "{err}");
        assert!(!err.is_empty());
    }
}

#[test]
fn check_of_a_missing_file_exits_5_and_names_it() {
    let (code, _, err) = check(Path::new("/nonexistent"), false);
    assert_eq!(code, 5);
    assert!(err.starts_with("/nonexistent: cannot be read"), "{err}");
}

#[test]
fn check_of_a_warned_file_exits_0_and_warns_on_stderr() {
    for path in files_of("warned") {
        let (code, out, err) = check(&path, false);
        assert_eq!((code, out.as_str()), (0, ""));
        assert!(err.contains(": warning: "), "{err}");
    }
}

#[test]
fn check_verbose_prints_what_it_understood_and_the_memory() {
    let whole = files_of("good").into_iter().find(|path| path.ends_with("whole.toml")).unwrap();
    let (code, out, err) = check(&whole, true);
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        "  interfaces           eth0, eth1",
        "service ws",
        "  listen               203.0.113.10:443/tcp, [2001:db8::10]:443/tcp, 203.0.113.10:*/tcp",
        "  timeouts.syn         1m 30s",
        "  health.expect        200, 204",
        "  health.via           direct",
        "  source               keep",
        "  backend api-2        10.0.1.10:8082, [2001:db8:0:1::10]:9082, weight 100, ready",
        "  backend ws-1         10.0.1.10, 2001:db8:0:1::10, weight 0, drain",
        "service game",
        "memory",
    ] {
        assert!(out.lines().any(|it| it == line), "{line:?} is not in\n{out}");
    }
    assert!(!out.contains("0001020304"), "the seed is a secret");
}

#[test]
fn check_verbose_says_what_auto_comes_to() {
    let least =
        fs::read_to_string(files_of("good").into_iter().find(|it| it.ends_with("least.toml")).unwrap());
    let least = least.unwrap();
    let of = |line: &str| {
        let text = least.replacen("[[service.backend]]", &format!("{line}\n[[service.backend]]"), 1);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let (code, out, err) = check(file.path(), true);
        assert_eq!((code, err.as_str()), (0, ""));
        out.lines().find_map(|line| line.strip_prefix("  checks go            ")).map(str::to_owned)
    };
    assert_eq!(of("").unwrap(), "by the datapath, where the kernel has it");
    let elsewhere = of("health = { port = 8081 }").unwrap();
    assert_eq!(elsewhere, "directly: no TCP listener is on the port asked");
    assert_eq!(of("health = { via = \"direct\" }"), None);
    assert_eq!(of("health = { kind = \"none\" }"), None);
}

#[test]
fn the_example_passes_check() {
    let mut example = Vec::new();
    let code = config_verb::run(&config_verb::ConfigArgs { verb: config_verb::Verb::Example }, &mut example)
        .unwrap();
    assert_eq!(code, 0);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), example).unwrap();
    assert_eq!(check(file.path(), false), (0, String::new(), String::new()));
}
