//! What these tests share: a folder for one run, the result of a command, and a search for processes that are left.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tests::binary;
use trials::journal::{self, JournalLine};
use trials::outcome::TrialOutcome;

/// A folder for one test: plans, results, and a folder for temporary files that must be empty at the end.
pub struct RunDir {
    pub folder: tempfile::TempDir,
}

impl RunDir {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("t").tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn plan(&self, text: &str) -> PathBuf {
        let path = self.path("plan.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("experiment"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("TMPDIR", self.path("tmp"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// Starts a run; returns it with its progress, line by line.
    pub fn start(&self, args: &[&str]) -> (Child, std::io::Lines<BufReader<ChildStderr>>) {
        let mut child = self.command(args).stdout(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        (child, lines)
    }

    pub fn outcomes(&self, out: &str) -> Vec<TrialOutcome> {
        let lines = journal::read(&self.path(out)).unwrap();
        let outcomes = lines.into_iter().filter_map(|line| match line {
            JournalLine::Trial(outcome) => Some(*outcome),
            JournalLine::Run(_) => None,
        });
        outcomes.collect()
    }

    /// Asserts that no process of this test is left. Killed processes need a moment to go; a process whose standard
    /// input has closed has the five seconds that the experiment itself would give it.
    pub fn assert_nothing_runs(&self) {
        wait_until(|| processes_with(&self.mark()).is_empty());
    }

    /// A text in the environment of every process of this test.
    pub fn mark(&self) -> String {
        format!("TMPDIR={}\0", self.path("tmp").display())
    }

    pub fn assert_nothing_left(&self) {
        self.assert_nothing_runs();
        let files: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

/// The result of a command.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self {
            status: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Asserts a wrong use: status 2 and a single line that contains all of `words`.
    pub fn assert_refused(&self, words: &[&str]) {
        assert_eq!(self.status, Some(2), "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{self:?}");
        for word in words {
            assert!(lines[0].contains(word), "`{word}` is not in: {}", lines[0]);
        }
    }
}

/// Command lines of the processes whose environment contains the mark.
pub fn processes_with(mark: &str) -> Vec<String> {
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let folder = entry.ok()?.path();
        let environment = fs::read(folder.join("environ")).ok()?;
        let found = String::from_utf8_lossy(&environment).contains(mark);
        found.then(|| {
            fs::read_to_string(folder.join("cmdline"))
                .unwrap_or_default()
                .replace('\0', " ")
        })
    };
    fs::read_dir("/proc").unwrap().filter_map(of).collect()
}

/// Polls until `condition` holds, for eight seconds at most.
pub fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(8);
    while !condition() {
        assert!(Instant::now() < deadline, "not so after eight seconds");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .unwrap();
    assert!(sent.success());
}

pub fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, words: &str) -> String {
    lines
        .map(Result::unwrap)
        .find(|line| line.contains(words))
        .unwrap_or_else(|| panic!("no line with `{words}`"))
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One warm-up window and one measured window of 20 events each; the test adds the axes.
pub const TINY: &str = "
name: tiny
window: 500ms
read_timeout: 50ms
warmup: 1
windows: 1
cut_off: 10s
fixed: {rpu: 40, keys: 2, io_delay: 10ms, max_workers: 50}
";

pub fn tiny(strategies: &str) -> String {
    format!("{TINY}axes: {{strategy: [{strategies}]}}\n")
}
