//! A program's flags beside the library's.

use clap::{Args, Command};

use super::flags::{WORKER, worker_args};
use super::*;
use crate::settings::SettingsError;

#[test]
fn a_worker_gets_the_settings_but_not_the_socket() {
    let args = [
        "--socket",
        "/s",
        "--strategy",
        "process-pool",
        "--server-info=/i",
        "--stats-listen",
        "127.0.0.1:0",
        "--stop-grace=5s",
        "--io-delay",
        "1s",
    ];
    let kept = worker_args(args.iter().map(Into::into));
    assert_eq!(kept, ["--strategy", "process-pool", "--io-delay", "1s"]);
}

/// Scores payments
#[derive(Debug, Args)]
#[command(version = "7.8.9")]
struct Own {
    /// Where
    #[arg(long, short = 'u')]
    url: String,
}

#[test]
fn a_programs_flags_stand_beside_the_librarys_in_both_kinds_of_process() {
    for (worker, is_server) in [(&[] as &[&str], true), (&[WORKER], false)] {
        let flags = ["--url", "http://e", "--strategy", "thread-pool", "--retries", "2"];
        let args = ["score"].iter().chain(worker).chain(&flags);
        let matches = command::<Own>(false).unwrap().try_get_matches_from(args).unwrap();
        let parsed = Parsed::<Own>::of(&matches).unwrap();
        assert_eq!(parsed.own.url, "http://e");
        assert_eq!((parsed.settings.retries, parsed.vertex.is_some()), (2, is_server));
    }
    let mut command = command::<Own>(false).unwrap();
    assert!(command.render_version().to_string().ends_with(" 7.8.9\n"));
    let help = command.render_help().to_string();
    assert!(help.starts_with("Scores payments\n"), "{help}");
    let (own, of_library) = help.split_once("Options of the library:").unwrap();
    assert!(own.contains("--url") && own.contains("--version"), "{help}");
    for flag in ["--strategy", "--socket", "--records"] {
        assert!(of_library.contains(flag), "{flag}: {help}");
    }
    assert!(!help.contains("--workload"), "{help}");
}

#[test]
fn a_flag_that_the_library_has_is_refused() {
    #[derive(Args)]
    struct Long {
        #[arg(long = "timeout")]
        _mine: Option<String>,
    }
    #[derive(Args)]
    struct Env {
        #[arg(long, env = "MAX_WORKERS")]
        _mine: Option<String>,
    }
    #[derive(Args)]
    struct Id {
        #[arg(long = "mine")]
        strategy: Option<String>,
    }
    let said = |command: Result<Command, SettingsError>| command.unwrap_err().to_string();
    assert_eq!(
        said(command::<Long>(false)),
        "`--timeout` is the library's and the program's: give the program's another name"
    );
    assert!(said(command::<Env>(false)).starts_with("`MAX_WORKERS` is"));
    assert!(said(command::<Id>(false)).starts_with("`strategy` is"));
    let _ = Id { strategy: None }.strategy;
}
