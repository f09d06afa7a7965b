//! What a run shows: figures of each trial as it ends, the bar of a terminal, colours, `-q` and `-v`.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use trials::verdict::{Kind, Verdict};

use super::run_dir::{Ended, RunDir, text, tiny};

/// Columns of the terminal.
const COLUMNS: u16 = 120;

/// The result of a run whose standard error is a terminal, as which it is returned.
fn run_in_terminal(dir: &RunDir, args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let size = Winsize {
        ws_row: 50,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&controller, size).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let terminal = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut command = dir.command(args);
    command
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied())
        .stderr(Stdio::from(terminal));
    let child = command.spawn().unwrap();
    // The end of the last process with the terminal open ends the reading, so ours is closed here.
    drop(command);
    let reader = std::thread::spawn(move || {
        let (mut controller, mut shown, mut buffer) = (File::from(controller), Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = controller.read(&mut buffer) {
            shown.extend_from_slice(&buffer[..read]);
        }
        shown
    });
    let mut output = child.wait_with_output().unwrap();
    output.stderr = reader.join().unwrap();
    Ended::of(&output)
}

/// Two measured windows suffice for a verdict.
fn three_windows(strategies: &str) -> String {
    tiny(strategies).replace("windows: 1", "windows: 2")
}

#[test]
fn each_trial_shows_its_figures_as_it_ends() {
    let dir = RunDir::new();
    let plan = dir.plan(&three_windows("async, thread-pool"));
    let ended = dir.run(&["run", text(&plan), "--out", "o"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        lines[0].starts_with("2 trials, about ") && lines[0].ends_with("; journal and report: o"),
        "{ended:?}"
    );
    let outcomes = dir.outcomes("o");
    let mut trials = lines[1..].chunks(4);
    for (position, strategy) in ["async", "thread-pool"].into_iter().enumerate() {
        let trial = trials.next().unwrap();
        let head = format!("trial {}/2 strategy={strategy},repeat=0, ", position + 1);
        assert!(
            trial[0].starts_with(&head) && trial[0].ends_with(" s left"),
            "{trial:?}"
        );
        let verdict = Verdict::of(&outcomes[position]);
        let verdict = format!(
            "  {} {}; predicted: keeps up (",
            verdict.kind.mark(),
            verdict.text()
        );
        assert!(
            trial[1].starts_with(&verdict) && trial[1].ends_with(" s)"),
            "{verdict}: {trial:?}"
        );
        assert!(
            trial[2].starts_with("  close tail  ") && trial[2].contains(" in 2 windows; predicted "),
            "{trial:?}"
        );
        assert!(
            trial[3].starts_with("  calls       60 ok, 0 failed; latency ") && trial[3].ends_with(" p99"),
            "{trial:?}"
        );
    }
    assert_eq!(trials.next(), None, "nothing else: {ended:?}");
    assert!(!ended.stderr.contains('\u{1b}'), "no colours without a terminal");
}

#[test]
fn failed_calls_are_shown_with_their_kind() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async").replace("max_workers: 50", "max_workers: 50, fail_status: 1"));
    let ended = dir.run(&["run", text(&plan), "--out", "o"]);
    assert!(
        ended
            .stderr
            .contains("\n  calls       0 ok, 40 failed (40 bad-status)"),
        "{ended:?}"
    );
}

#[test]
fn quiet_prints_the_table_alone_and_verbose_prints_predictions_and_windows() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async"));
    let quiet = dir.run(&["run", text(&plan), "--out", "q", "--quiet"]);
    assert_eq!((quiet.status, quiet.stderr.as_str()), (Some(0), ""), "{quiet:?}");
    assert!(quiet.stdout.contains("report: q/report.html"), "{quiet:?}");
    let verbose = dir.run(&["run", text(&plan), "--out", "v", "-v"]);
    for line in [
        "  predicted: 40 calls a second",
        "  window 1/2, ",
        "  window 2/2, ",
    ] {
        assert!(verbose.stderr.contains(line), "{verbose:?}");
    }
    let both = dir.run(&["run", text(&plan), "-q", "-v"]);
    assert!(
        both.status == Some(2) && both.stderr.contains("--verbose"),
        "{both:?}"
    );
}

#[test]
fn a_terminal_has_colours_and_a_bar_that_starts_empty() {
    let dir = RunDir::new();
    let plan = dir.plan(&three_windows("async"));
    let ended = run_in_terminal(&dir, &["run", text(&plan), "--out", "o"], &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let shown = &ended.stderr;
    assert!(
        shown.contains(&painted(&Verdict::of(&dir.outcomes("o")[0]))),
        "{shown:?}"
    );
    let bar = shown.find("trial 1/1 [").expect("a bar");
    assert!(
        shown[bar..].starts_with(&format!("trial 1/1 [{}] window 0/3, ", " ".repeat(24))),
        "{shown:?}"
    );
    assert!(shown.contains("window 1/3"), "{shown:?}");
    // Below the bar nothing may stay: its line is cleared at the end.
    let last = shown.rfind("window ").unwrap();
    assert!(shown[last..].contains("\u{1b}[2K"), "{shown:?}");

    let ended = run_in_terminal(&dir, &["run", text(&plan), "--out", "n"], &[("NO_COLOR", "1")]);
    let verdict = Verdict::of(&dir.outcomes("n")[0]);
    let plain = format!(
        "  {} {}; predicted: keeps up",
        verdict.kind.mark(),
        verdict.text()
    );
    assert!(ended.stderr.contains(&plain), "{plain}: {ended:?}");
    let colours = ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[31m"];
    assert!(
        colours.iter().all(|colour| !ended.stderr.contains(colour)),
        "{ended:?}"
    );
}

/// A verdict of a trial that ran: green where it kept up; on a busy machine it may be undecided or fall behind.
fn painted(verdict: &Verdict) -> String {
    let colour = match verdict.kind {
        Kind::KeptUp => 32,
        Kind::Undecided => 33,
        Kind::FellBehind => 31,
        other => panic!("{other:?}"),
    };
    format!(
        "\u{1b}[{colour}m{} {}\u{1b}[0m; predicted",
        verdict.kind.mark(),
        verdict.text()
    )
}

#[test]
fn the_report_is_there_after_the_first_trial() {
    let dir = RunDir::new();
    let plan = dir.plan(&tiny("async, thread-pool"));
    let (mut child, mut lines) = dir.start(&["run", text(&plan), "--out", "o"]);
    super::run_dir::wait_for(&mut lines, "trial 2/2");
    let page = std::fs::read_to_string(dir.path("o/report.html")).unwrap();
    assert!(
        page.contains("async") && !page.contains("thread-pool,"),
        "of one trial"
    );
    lines.map(Result::unwrap).for_each(drop);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_signal_ends_commands_of_a_cluster_with_its_status() {
    // Nothing answers there, so the command waits.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metrics", silent.local_addr().unwrap());
    for (name, status) in [("INT", 130), ("TERM", 143)] {
        let dir = RunDir::new();
        let child = dir.command(&["verify", "--sink-metrics", &url]).spawn().unwrap();
        // Its handlers are installed before its first request.
        let connection = silent.accept().unwrap();
        super::run_dir::signal(&child, name);
        let ended = Ended::of(&child.wait_with_output().unwrap());
        assert_eq!(ended.status, Some(status), "{ended:?}");
        assert_eq!(ended.stderr, "experiment: interrupted\n");
        drop(connection);
    }
}
